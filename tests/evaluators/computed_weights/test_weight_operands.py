"""Which operands are weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from palettune.evaluators.computed_weights.call_key import function_name
from palettune.evaluators.computed_weights.recorder import OperandUse
from palettune.evaluators.computed_weights.weight_operands import (
    is_broadcast,
    is_moved_by,
    is_product,
    is_taken_operand,
    is_weight_operand,
)


@pytest.mark.parametrize(
    ("function", "position", "weight", "product"),
    [
        (F.linear, 1, True, False),
        (F.linear, "weight", True, False),
        (F.linear, 0, False, False),
        (F.linear, 2, False, False),
        (torch.conv2d, 1, True, False),
        (torch.conv2d, "bias", False, False),
        (torch.ops.aten.conv_transpose1d, 1, True, False),
        (torch.ops.aten.conv2d.default, 1, True, False),
        (torch.ops.aten._convolution, 1, True, False),
        (F.embedding, 1, True, False),
        (torch.lstm, 2, True, False),
        (torch.Tensor.matmul, 0, True, True),
        (torch.Tensor.__rmatmul__, 1, True, True),
        (torch.einsum, 1, True, True),
        (torch.addmm, 2, True, True),
        (torch.addmm, 0, False, False),
        (torch.mul, 1, False, False),
        (F.scaled_dot_product_attention, 1, False, False),
    ],
)
def test_weights_of_functions(function: object, position: int | str, weight: bool, product: bool) -> None:
    use = OperandUse(function_name(function), position)
    assert is_weight_operand(use) is weight
    assert is_product(use) is product


def test_what_is_returned_or_kept_is_no_weight() -> None:
    assert not any(is_weight_operand(OperandUse(name, 0)) for name in ("return", "attribute"))


@pytest.mark.parametrize(
    ("function", "position", "taken"),
    [
        (torch.add, 1, True),
        (torch.Tensor.__radd__, 1, True),
        (torch.ops.aten.add.Tensor, 0, True),
        (torch.Tensor.__truediv__, 0, True),
        (torch.div, 1, False),
        (torch.cat, 0, True),
        (torch.where, 2, True),
        (torch.where, 0, False),
        (F.scaled_dot_product_attention, "attn_mask", True),
        (F.linear, 1, False),
    ],
)
def test_operands_that_are_taken_as_they_are(function: object, position: int | str, taken: bool) -> None:
    assert is_taken_operand(OperandUse(function_name(function), position)) is taken


def test_operands_that_are_broadcast() -> None:
    broadcast = [is_broadcast(OperandUse(function_name(function), 0)) for function in (torch.add, torch.div, torch.cat)]
    assert broadcast == [True, True, False]


def test_functions_that_move_values() -> None:
    moving = (
        torch.Tensor.__getitem__,
        F.embedding,
        torch.Tensor.permute,
        torch.repeat_interleave,
        torch.ops.aten.index.Tensor,
    )
    assert all(is_moved_by(function_name(function)) for function in moving)
    assert not any(is_moved_by(function_name(function)) for function in (torch.exp, torch.mul, torch.Tensor.sum))
