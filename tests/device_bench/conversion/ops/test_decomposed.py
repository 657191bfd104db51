"""Ops that coremltools lacks, written by torch in ops that it has."""

import pytest
import torch
from torch import nn

from palettune.device_bench.conversion.ops.decomposed import decomposed
from palettune.device_bench.conversion.ops.registered import register_missing_ops
from tests.device_bench.conversion.ops.twins import Function, check


def kinds_of(function, *inputs):
    register_missing_ops()
    program = decomposed(torch.export.export(Function(function), inputs, strict=False))
    return [str(node.target) for node in program.graph.nodes if node.op == "call_function"]


def test_an_op_that_converts_stays_as_it_is():
    kinds = kinds_of(lambda x: nn.functional.gelu(x).softmax(-1), torch.ones(2, 3))
    assert kinds == ["aten.gelu.default", "aten.softmax.int"]


@pytest.mark.parametrize("name", ["diff", "new_ones"])
def test_an_op_that_does_not_is_written_with_others(name):
    calls = {"diff": lambda x: x.diff(), "new_ones": lambda x: x + x.new_ones(3)}
    assert not any(name in kind for kind in kinds_of(calls[name], torch.ones(2, 3)))


def test_an_op_that_torch_cannot_write_stays():
    assert "aten.lgamma.default" in kinds_of(torch.lgamma, torch.ones(3))


@pytest.mark.slow
@pytest.mark.matrix(4)
@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.diff(dim=0),
        lambda x: x * x.new_ones(4),
        lambda x: torch.where(x > 0, x, -2.0),
        lambda x: ((x > 0) & (x < 1)) * x,
        lambda x: nn.functional.celu(x, 0.7),
        lambda x: x + torch.zeros_like(x > 0, dtype=torch.float32).masked_fill(x > 0, -3.5),
        lambda x: x + (x > 0).new_full((4,), 1.5, dtype=torch.float32) + (x > 0).new_zeros(4, dtype=torch.float32),
        lambda x: x * torch.ones_like(x > 0, dtype=torch.float32) * torch.full_like(x > 0, 0.5, dtype=torch.float32),
    ],
)
def test_a_package_computes_what_torch_does(function, tmp_path):
    check(function, (torch.randn(3, 4),), tmp_path)
