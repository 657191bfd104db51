"""Packages of flexible inputs, run beside their modules at several shapes."""

import copy

import pytest
import torch

from palettune.device_bench.interface.program_interface import InputDeclaration, ProgramInterface
from palettune.device_bench.proof.image_inputs import to_program_inputs
from palettune.device_bench.proof.shape_check import check_shapes, shaped_examples
from palettune.device_bench.runtime import in_precisions
from tests.device_bench.declared import (
    SCALING,
    Pictures,
    Specialized,
    Tokens,
    names_of,
    of_lengths,
    packaged,
    picture,
    tokens_of,
)

PICTURES = ProgramInterface((InputDeclaration("image", shapes=(((1, 1), (3, 3), (8, 32), (8, 24)),), image=SCALING),))


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return in_precisions(packaged(tmp_path_factory.mktemp("tokens"), Tokens(), tokens_of(24), of_lengths())[0])


def test_a_right_package_passes_at_its_smallest_largest_and_a_middle_shape(tokens):
    checks = check_shapes(tokens, Tokens().eval(), tokens_of(24))
    lengths = (1, 32, 64)
    assert [check.shapes for check in checks] == [f"tokens (1, {n}), mask (1, {n})" for n in lengths]
    assert all(check.passed and not check.failures for check in checks)
    assert all(check.execution.fp16 is not None for check in checks)


def test_another_model_fails_at_every_shape_with_the_shape(tokens):
    other = copy.deepcopy(Tokens().eval())
    with torch.no_grad():
        other.head.weight.mul_(-1)
    checks = check_shapes(tokens, other, tokens_of(24))
    assert not any(check.passed for check in checks)
    assert checks[0].failures[0].startswith("at tokens (1, 1), mask (1, 1): in float32, output 'output'")


def test_a_size_that_was_frozen_is_seen_at_another_size(tmp_path):
    interface = ProgramInterface((InputDeclaration("x", shapes=(((1, 1), (4, 48), (8, 8)),)),))
    example = (torch.randn(1, 24, 8, generator=torch.Generator().manual_seed(0)),)
    path, conversion = packaged(tmp_path, Specialized(), example, interface)
    assert conversion.front_end.traced
    assert "works with 24 along dimension 1 alone" in conversion.front_end.refusal
    first, *_ = check_shapes(in_precisions(path), Specialized().eval(), example)
    assert not first.passed


def test_a_module_that_fails_at_a_shape_is_a_failed_check(tokens):
    class Short(Tokens):
        def forward(self, tokens, mask):
            if tokens.shape[1] > 49:
                raise ValueError("at most 49 tokens")
            return super().forward(tokens, mask)

    last = check_shapes(tokens, Short().eval(), tokens_of(24))[-1]
    assert last.execution is None
    assert last.failures == ("at tokens (1, 64), mask (1, 64): the model fails: ValueError: at most 49 tokens",)


@pytest.mark.slow
def test_images_are_run_on_their_pixels(tmp_path):
    module = Pictures().eval()
    programs = in_precisions(packaged(tmp_path, module, picture(), PICTURES)[0])
    to_inputs = to_program_inputs(PICTURES, names_of(module, picture()), programs.float32.inputs)
    assert all(check.passed for check in check_shapes(programs, module, picture(), to_inputs))
    assert not any(check.passed for check in check_shapes(programs, module, picture()))
    assert [sample[0].shape[2:] for sample in shaped_examples(programs.float32.inputs, picture())] == [
        (8, 8),
        (20, 16),
        (32, 24),
    ]


def test_a_package_of_fixed_shape_is_run_at_none(tmp_path):
    programs = in_precisions(packaged(tmp_path, Pictures(), picture(), ProgramInterface())[0])
    assert check_shapes(programs, Pictures(), picture()) == ()
