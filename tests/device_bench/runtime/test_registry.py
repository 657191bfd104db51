"""Kernels by op type and opset."""

import pytest
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

from palettune.device_bench.runtime.registry import find, kernel, registered


@pytest.mark.parametrize("op_type", sorted(registered()))
def test_kernels_take_every_input_of_their_op_in_every_opset(op_type):
    versions = SSAOpRegistry.core_ops[op_type]
    for opset, op in versions.items():
        found = find(op_type, opset)
        assert found is not None or opset < min(k.since for k in registered()[op_type])
        if found is not None:
            inputs = {name for name in op.input_spec.input_types if not name.startswith("_")}
            assert inputs <= {*found.tensors, *found.attributes}, opset


def test_an_op_has_one_kernel_for_an_opset():
    with pytest.raises(ValueError, match="already has a kernel"):
        kernel("relu")(lambda x: x)
