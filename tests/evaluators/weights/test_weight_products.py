"""Products against the ops themselves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from palettune.evaluators.weights.weight_products import WeightProduct, products_of

aten = torch.ops.aten


def product(one: WeightProduct) -> Tensor:
    """Multiply the operand by what it multiplies, over the axes that it says."""
    (axis,) = one.axes
    if one.batch is None:
        return one.values @ one.weight.movedim(axis, 0)
    return one.values @ one.weight.movedim(axis, 1)


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        (aten.linear.default, (torch.randn(2, 3, 4), torch.randn(5, 4))),
        (aten.linear.default, (torch.randn(3, 4), torch.randn(5, 4), None)),
        (aten.mm.default, (torch.randn(3, 4), torch.randn(4, 5))),
        (aten.addmm.default, (torch.zeros(5), torch.randn(3, 4), torch.randn(4, 5))),
        (aten.matmul.default, (torch.randn(2, 3, 4), torch.randn(4, 5))),
        (aten.matmul.default, (torch.randn(3, 4), torch.randn(2, 4, 5))),
        (aten.bmm.default, (torch.randn(2, 3, 4), torch.randn(2, 4, 5))),
        (aten.baddbmm.default, (torch.zeros(5), torch.randn(2, 3, 4), torch.randn(2, 4, 5))),
        (aten.mv.default, (torch.randn(3, 4), torch.randn(4))),
        (aten.addmv.default, (torch.zeros(3), torch.randn(3, 4), torch.randn(4))),
    ],
)
def test_each_operand_times_its_values_is_what_the_op_computes(op: Any, arguments: tuple[Any, ...]) -> None:
    expected = op(*arguments)
    found = products_of(op, arguments)
    assert found
    for one in found:
        outputs = product(one)
        turned = expected.transpose(-1, -2) if expected.ndim > 1 else expected[None]
        assert any(
            outputs.shape == other.shape and torch.allclose(outputs, other, atol=1e-5)
            for other in (expected, turned, expected.reshape(1, -1))
        )


def test_a_convolution_has_a_window_which_unfolds_its_inputs() -> None:
    values, weight = torch.randn(2, 4, 7, 8), torch.randn(6, 4, 3, 2)
    arguments = (values, weight, None, [2, 1], [1, 0], [1, 2], False, [0, 0], 1)
    (found,) = products_of(aten.convolution.default, arguments)
    window = found.window
    assert window is not None
    padded = functional.pad(found.values, window.padding, mode=window.mode)
    columns = functional.unfold(padded, window.kernel, window.dilation, 0, window.stride)
    expected = aten.convolution.default(*arguments)
    assert torch.allclose(found.weight.flatten(1) @ columns, expected.flatten(2), atol=1e-4)
    assert found.axes == (1, 2, 3)


def test_one_number_stands_for_all_axes() -> None:
    (found,) = products_of(
        aten.convolution.default, (torch.randn(1, 4, 7, 8), torch.randn(4, 1, 3, 3), None, [2], [1], [1], False, [0], 4)
    )
    window = found.window
    assert window is not None
    assert (window.stride, window.padding, window.dilation, window.groups) == ((2, 2), (1, 1, 1, 1), (1, 1), 4)


def test_other_ops_have_none() -> None:
    assert products_of(aten.add.Tensor, (torch.zeros(2), torch.zeros(2))) == []
    assert products_of(aten.matmul.default, (torch.zeros(2, 3, 4), torch.zeros(2, 4, 3))) == []
    transposed = (torch.zeros(1, 4, 7), torch.zeros(4, 2, 3), None, [1], [0], [1], True, [0], 1)
    assert products_of(aten.convolution.default, transposed) == []
