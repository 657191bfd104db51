"""Products of aten ops: which operand may be a weight, what it multiplies, and over which axes it sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

__all__ = ["MovingWindow", "WeightProduct", "products_of"]

_aten = torch.ops.aten


@dataclass(frozen=True, slots=True)
class MovingWindow:
    """Kernel, strides, padding and groups of a convolution.

    Attributes:
        kernel: lengths of the kernel's axes.
        stride: of each axis.
        dilation: of each axis.
        padding: as ``torch.nn.functional.pad`` takes it.
        mode: of the padding, as ``torch.nn.functional.pad`` takes it.
        groups: of channels.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[int, ...]
    mode: str = "constant"
    groups: int = 1


@dataclass(frozen=True, eq=False, slots=True)
class WeightProduct:
    """One op, seen from one of its operands.

    Attributes:
        weight: the operand.
        values: what it multiplies: (..., inputs), or (N, channels, *lengths) under a window.
        axes: those of the operand over which the op sums, in the order of the inputs.
        argument: which of the op's arguments the values are, in an order of their own.
        batch: axis of the operand along which matrices are multiplied one by one; the first axis of ``values``.
        window: of a convolution.
    """

    weight: Tensor
    values: Tensor
    axes: tuple[int, ...]
    argument: int
    batch: int | None = None
    window: MovingWindow | None = None


def products_of(op: Any, arguments: Sequence[Any]) -> list[WeightProduct]:
    """Return an op's products; none for an op that is no product, or that is better looked at in parts.

    Args:
        op: an ``OpOverload``.
        arguments: its positional arguments.
    """
    read = _OPS.get(op)
    return [] if read is None else read(*arguments)


def _linear(values: Tensor, weight: Tensor, *_: Any) -> list[WeightProduct]:
    found = [WeightProduct(weight, values, (1,), 0)] if weight.ndim == 2 else []
    return found + ([WeightProduct(values, weight, (1,), 1)] if values.ndim == weight.ndim == 2 else [])


def _matmul(left: Tensor, right: Tensor) -> list[WeightProduct]:
    found = [WeightProduct(right, left, (0,), 0)] if right.ndim == 2 else []
    return found + ([WeightProduct(left, right.transpose(-1, -2), (1,), 1)] if left.ndim == 2 <= right.ndim else [])


def _bmm(left: Tensor, right: Tensor) -> list[WeightProduct]:
    return [WeightProduct(right, left, (1,), 0, 0), WeightProduct(left, right.transpose(1, 2), (2,), 1, 0)]


def _mv(matrix: Tensor, vector: Tensor) -> list[WeightProduct]:
    return [WeightProduct(matrix, vector[None], (1,), 1)]


def _behind_a_sum(read: Callable[..., list[WeightProduct]]) -> Callable[..., list[WeightProduct]]:
    """Products of an op whose first argument is added to them."""
    return lambda _, left, right: [replace(one, argument=one.argument + 1) for one in read(left, right)]


def _convolution(
    values: Tensor,
    weight: Tensor,
    _bias: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    _output_padding: Sequence[int],
    groups: int,
) -> list[WeightProduct]:
    if transposed:
        return []
    kernel = tuple(weight.shape[2:])
    one, two, three = (tuple(given) * (len(kernel) // len(given)) for given in (stride, dilation, padding))
    around = tuple(amount for size in reversed(three) for amount in (size, size))
    window = MovingWindow(kernel, one, two, around, groups=groups)
    return [WeightProduct(weight, values, tuple(range(1, weight.ndim)), 0, window=window)]


_OPS: dict[Any, Callable[..., list[WeightProduct]]] = {
    _aten.linear.default: _linear,
    _aten.matmul.default: _matmul,
    _aten.mm.default: _matmul,
    _aten.addmm.default: _behind_a_sum(_matmul),
    _aten.bmm.default: _bmm,
    _aten.baddbmm.default: _behind_a_sum(_bmm),
    _aten.mv.default: _mv,
    _aten.addmv.default: _behind_a_sum(_mv),
    _aten.convolution.default: _convolution,
}
