"""Small MIL programs, built in memory, run by the runtime and inferred by coremltools."""

from pathlib import Path

import coremltools as ct
import numpy as np
import torch
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Function, types

from palettune.device_bench.runtime.plan import plan_function
from palettune.device_bench.runtime.program_file import ProgramFile
from palettune.device_bench.runtime.steps import ExecutionContext, run_steps
from palettune.device_bench.runtime.values import ComputePrecision

_TYPES = {
    np.dtype(np.float32): types.fp32,
    np.dtype(np.float16): types.fp16,
    np.dtype(np.int32): types.int32,
    np.dtype(np.int8): types.int8,
    np.dtype(np.uint8): types.uint8,
    np.dtype(np.bool_): types.bool,
}


def outputs_of(op_type, attributes, opset="iOS18", **tensors):
    """The runtime's outputs of one op whose ``tensors`` are program inputs (lists of arrays for several)."""
    placeholders, feed = {}, {}
    for name, value in tensors.items():
        for part, array in enumerate(value if isinstance(value, list) else [value]):
            key = f"in_{name}_{part}"
            placeholders[key] = mb.placeholder(array.shape, _TYPES[array.dtype], allow_rank0_input=True, name=key)
            feed[key] = array
    with Function(placeholders, opset_version=ct.target[opset]) as function:
        given = {}
        for name, value in tensors.items():
            if isinstance(value, list):
                given[name] = [function.inputs[f"in_{name}_{part}"] for part in range(len(value))]
            else:
                given[name] = function.inputs[f"in_{name}_0"]
        results = getattr(mb, op_type)(**given, **attributes)
        function.set_outputs(list(results) if isinstance(results, tuple | list) else [results])
    return run_function(function, feed)


def run_function(function, feed, precision=ComputePrecision.FP32):
    """Outputs of a MIL function, in order, as arrays."""
    plan = plan_function(
        ProgramFile(Path("memory"), "main", function, (), (), (), ("main",)), precision, torch.device("cpu")
    )
    frame = plan.frame.copy()
    for entry in plan.inputs:
        entry.put(frame, torch.as_tensor(feed[entry.name]))
    run_steps(plan.steps, frame, ExecutionContext())
    return [np.asarray(frame[plan.outputs[variable.name]]) for variable in function.outputs]


def inferred(op_type, attributes, opset="iOS18", **tensors):
    """coremltools' own value of one op on constants."""
    with Function({"unused": mb.placeholder((1,), name="unused")}, opset_version=ct.target[opset]):
        results = getattr(mb, op_type)(**tensors, **attributes)
    results = list(results) if isinstance(results, tuple | list) else [results]
    assert all(result.val is not None for result in results), f"coremltools infers no value of {op_type}"
    return [np.asarray(result.val) for result in results]


def assert_inferred(op_type, attributes, opset="iOS18", rtol=1e-5, atol=1e-6, **tensors):
    """The runtime agrees with coremltools, in value, shape and kind of number."""
    ours = outputs_of(op_type, attributes, opset, **tensors)
    theirs = inferred(op_type, attributes, opset, **tensors)
    for mine, its in zip(ours, theirs, strict=True):
        assert mine.shape == its.shape
        np.testing.assert_allclose(mine.astype(np.float64), its.astype(np.float64), rtol=rtol, atol=atol)
