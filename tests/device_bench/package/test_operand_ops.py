"""Which constants that an op takes as they are may be layers."""

import coremltools as ct
import pytest

from palettune.device_bench.package.operand_ops import LEAST_ELEMENTS, OPERANDS, operand_refusal
from palettune.device_bench.runtime.registry import find


@pytest.mark.parametrize(
    ("op_type", "operand", "shape", "words"),
    [
        ("add", "y", (1, 16, 64), None),
        ("concat", "values", (1, 32, 32), None),
        ("matmul", "y", (4, 16, 16), None),
        ("add", "y", (1, 16, 63), "fewer than 1024 elements"),
        ("mul", "y", (1, 4096, 1, 1), "one axis longer than 1"),
        ("real_div", "y", (64, 64), "not a weight operand"),
        ("layer_norm", "gamma", (64, 64), "not a weight operand"),
    ],
)
def test_large_constants_of_known_ops_may_be_layers(op_type, operand, shape, words):
    found = operand_refusal(op_type, operand, shape)
    assert found is None if words is None else words in found
    assert LEAST_ELEMENTS == 1024


@pytest.mark.parametrize("op_type", OPERANDS)
def test_the_runtime_takes_every_such_operand_as_a_tensor(op_type):
    kernel = find(op_type, ct.target.iOS18)
    assert kernel is not None
    assert set(OPERANDS[op_type]) <= set(kernel.tensors)
