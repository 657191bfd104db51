"""Where activations in 8 bits are looked for in a package."""

import pytest

from palettune.device_bench.conversion.base_program import WeightPlace
from palettune.device_bench.package.program_graph import ProgramNode
from palettune.device_bench.proof.activation_proof import activation_failures
from palettune.space.configuration import Precision


def node(kind, **operands):
    return ProgramNode(kind, kind, {name: (value,) for name, value in operands.items()})


QUANTIZED = (
    node("function", x="input x"),
    node("quantize", input="input x"),
    node("dequantize", input="output 0 of op 1"),
    node("pad", x="output 0 of op 2"),
    node("conv", x="output 0 of op 3", weight="weight of a"),
    node("relu", x="output 0 of op 4"),
    node("linear", x="output 0 of op 5", weight="weight of b"),
)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (WeightPlace(4, "weight", 0), None),
        (WeightPlace(6, "weight", 0), "takes what 'relu' gives"),
        (WeightPlace(9, "weight", 0), "no op takes the weight"),
    ],
)
def test_a_layer_is_proven_only_behind_a_quantize_and_a_dequantize(place, words):
    failures = activation_failures([place], Precision.INT8, QUANTIZED)
    assert bool(failures) == (words is not None)
    assert words is None or words in failures[0]
    assert not activation_failures([place], Precision.FP16, QUANTIZED)


def test_a_dequantize_of_something_else_is_none():
    nodes = (*QUANTIZED[:1], node("gather", x="input x"), *QUANTIZED[2:])
    assert "dequantize of gather" in activation_failures([WeightPlace(4, "weight", 0)], Precision.INT8, nodes)[0]
    direct = (*QUANTIZED[:4], node("conv", x="input x", weight="weight of a"))
    assert "an input of the model" in activation_failures([WeightPlace(4, "weight", 0)], Precision.INT8, direct)[0]
