"""Packages of flexible inputs beside the float model, at several shapes."""

import pytest
import torch
from torch import nn

from palettune.device_bench.interface.program_interface import PLAIN, InputDeclaration, ProgramInterface
from palettune.device_bench.runtime import in_precisions
from palettune.search.results.shape_verification import shape_problems
from tests.device_bench.declared import Pictures, Specialized, Tokens, of_lengths, packaged, picture, tokens_of


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return in_precisions(packaged(tmp_path_factory.mktemp("tokens"), Tokens(), tokens_of(24), of_lengths())[0])


def nudged(share: float) -> nn.Module:
    """``Tokens`` whose weights differ from its package's by a share."""
    module = Tokens().eval()
    with torch.no_grad():
        for weight in module.parameters():
            weight.mul_(1 + share * torch.randn(weight.shape, generator=torch.Generator().manual_seed(3)))
    return module


def test_a_package_that_is_as_far_from_the_model_at_every_shape_has_no_problem(tokens):
    assert shape_problems(tokens, Tokens().eval(), tokens_of(24)) == []
    assert shape_problems(tokens, nudged(0.2), tokens_of(24)) == []


def test_a_size_that_was_frozen_is_a_problem_at_other_sizes_alone(tmp_path):
    interface = ProgramInterface((InputDeclaration("x", shapes=(((1, 1), (4, 24), (8, 8)),)),))
    example = (torch.randn(1, 24, 8, generator=torch.Generator().manual_seed(0)),)
    path, _ = packaged(tmp_path, Specialized(), example, interface)
    found = shape_problems(in_precisions(path), Specialized().eval(), example)
    assert found
    assert all("at x (1, 24, 8)" not in problem for problem in found)
    assert "dB from the model's, and" in found[0]


def test_a_model_that_fails_there_is_a_problem(tokens):
    class Short(Tokens):
        def forward(self, tokens, mask):
            if tokens.shape[1] > 49:
                raise ValueError("at most 49 tokens")
            return super().forward(tokens, mask)

    (problem,) = shape_problems(tokens, Short().eval(), tokens_of(24))
    assert problem == "at tokens (1, 64), mask (1, 64) the model fails: ValueError: at most 49 tokens"


def test_a_package_of_fixed_shape_is_not_run(tmp_path):
    path, _ = packaged(tmp_path, Pictures(), picture(), PLAIN)
    assert shape_problems(in_precisions(path), Pictures(), picture()) == []
