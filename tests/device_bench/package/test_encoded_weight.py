"""Constant ops that decode a weight."""

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil.mil import Builder as mb

from palettune.device_bench.package.encoded_weight import encoded_weight
from palettune.evaluators.compression.compression import compress
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind

LAYER = Layer("x", LayerKind.LINEAR, (16, 32))


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("spelling", ["fp16", "lut4", "int8", "sparse50+lut4", "lut4-scaled", "int4-b8"])
def test_a_weight_decodes_to_its_values_in_the_programs_type_and_place(spelling, half):
    torch.manual_seed(0)
    made = compress(torch.randn(16, 32), LAYER, Encoding.parse(spelling))
    kind = ct.models.MLModel and (np.float16 if half else np.float32)

    @mb.program(
        input_specs=[mb.TensorSpec(shape=(1, 32), dtype=ct.converters.mil.mil.types.numpy_type_to_builtin_type(kind))],
        opset_version=ct.target.iOS18,
    )
    def program(x):
        y = mb.relu(x=x)
        weight = encoded_weight(made.weight, made.buffers, "it", half=half, before_op=y.op)
        assert weight.name == "it"
        return mb.linear(x=y, weight=weight)

    ops = [op for op in program.functions["main"].operations if op.op_type != "const"]
    linear = ops[-1] if ops[-1].op_type == "linear" else next(op for op in ops if op.op_type == "linear")
    decoded = linear.weight.val if linear.weight.val is not None else linear.weight.op.materialized_val_inference()
    assert decoded.dtype == kind
    assert np.allclose(decoded.astype(np.float32), made.weight.numpy(), rtol=2e-3, atol=1e-6)
    names = [op.op_type for op in ops]
    assert names.index("relu") > min((i for i, name in enumerate(names) if name.startswith("constexpr")), default=-1)
