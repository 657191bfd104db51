"""What a user reads of an op that does not convert: the op, its parameters, the line of source."""

import pytest
import torch
from torch import Tensor, nn

from palettune.device_bench.conversion.conversion import ConversionError, converted
from palettune.device_bench.conversion.ops.failed_op import failure_words
from palettune.space.target import DeploymentTarget


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.lgamma(x * self.inner.weight)


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.part = Odd()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.part(x) + torch.erfinv(self.scale * 0.5) + torch.lgamma(x)


def refused(module: nn.Module, *inputs: Tensor) -> str:
    with pytest.raises(ConversionError) as error:
        converted(module.eval(), inputs, DeploymentTarget.IOS18)
    return str(error.value)


def test_every_op_without_a_conversion_is_named_with_its_line_and_its_parameters():
    words = refused(Two(), torch.ones(3))
    assert "Two does not convert to Core ML" in words
    assert "op aten.lgamma.default at test_failed_op.py:" in words
    assert "(`return torch.lgamma(x * self.inner.weight)`)" in words
    assert "op aten.erfinv.default at test_failed_op.py:" in words
    assert ", with 'scale'" in words


def test_an_op_that_fails_is_named_with_its_line():
    class Wide(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.bitwise_and(x.int(), 3)

    words = refused(Wide(), torch.ones(3))
    assert "op aten.bitwise_and.Scalar at test_failed_op.py:" in words or "op aten.bitwise_and.Tensor at" in words
    assert "(`return torch.bitwise_and(x.int(), 3)`)" in words
    assert "boolean" in words


def test_a_tensor_of_too_many_axes_is_named_with_the_rewrite_to_make():
    class Deep(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x.view(1, 2, 2, 2, 2, 2) * 2).sum(-1).flatten()

    words = refused(Deep(), torch.ones(32))
    assert "op aten.view.default at test_failed_op.py:" in words
    assert "a tensor of 6 axes (1, 2, 2, 2, 2, 2), and Core ML has at most 5" in words


def test_what_fails_before_there_is_a_program_is_said_as_it_is():
    assert failure_words(RuntimeError("no such thing"), None) == "RuntimeError: no such thing"
