"""Codes: stand-ins for a model's tensors in which every value says which element of which tensor it is.

A converter that cuts, transposes, reorders or reshapes a tensor leaves codes from which the elements and their order
can be read; one that computes with it leaves values that are no codes in order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from palettune.space.errors import UserError
from palettune.space.layer import WeightView

__all__ = ["CodeError", "CodedPart", "WeightCodes", "whole_view"]

#: Bits of the first code as a float32, about 0.001; 8 million codes are twice as large, so that none overflows.
_FIRST = 0x3A800000
_LAST = 0x7F000000


class CodeError(UserError):
    """A model with more elements than codes."""


@dataclass(frozen=True)
class CodedPart:
    """Elements of one tensor.

    Attributes:
        tensor: its dotted name.
        view: which elements, in which order; None for all as they are.
        shape: of the constant that holds them.
        tensor_shape: of the tensor.
    """

    tensor: str
    view: WeightView | None
    shape: tuple[int, ...]
    tensor_shape: tuple[int, ...]


class WeightCodes:
    """Numbers of the elements of some tensors, as float32 that differ in their bits.

    Args:
        tensors: by dotted name; their shapes are read.

    Raises:
        CodeError: more elements than there are codes.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._names = list(tensors)
        self._shapes = [tuple(tensor.shape) for tensor in tensors.values()]
        sizes = [tensor.numel() for tensor in tensors.values()]
        self._starts = [0, *np.cumsum(sizes, dtype=np.int64).tolist()]
        if self._starts[-1] > _LAST - _FIRST:
            raise CodeError(
                f"the model's weights have {self._starts[-1]:.2e} elements, and at most {_LAST - _FIRST:.2e} are supported"
            )

    def parameter(self, name: str) -> nn.Parameter:
        """Return the stand-in of a tensor, of its shape."""
        at = self._names.index(name)
        bits = np.arange(_FIRST + self._starts[at], _FIRST + self._starts[at + 1], dtype=np.int32)
        values = torch.from_numpy(bits.view(np.float32).reshape(self._shapes[at]))
        return nn.Parameter(values, requires_grad=False)

    def holder(self, value: Any) -> str | None:
        """Return the tensor that the first value of an array is an element of; None for any other value."""
        if not isinstance(value, np.ndarray) or value.dtype != np.float32 or not value.size:
            return None
        code = int(value.flat[0:1].view(np.int32)[0]) - _FIRST
        return self._names[bisect_right(self._starts, code) - 1] if 0 <= code < self._starts[-1] else None

    def part(self, value: Any) -> CodedPart | None:
        """Return which elements of one tensor an array holds; None unless each axis moves by positions of its own."""
        name = self.holder(value)
        if name is None or not value.ndim:
            return None
        at = self._names.index(name)
        codes = np.ascontiguousarray(value).view(np.int32) - np.int32(_FIRST)
        codes = codes.reshape(value.shape)
        first = int(codes.flat[0])
        axes = [_along(codes, axis) - first for axis in range(codes.ndim)]
        if not _is_sum(codes, first, axes):
            return None
        start = first - self._starts[at]
        highest = start + sum(int(steps.max(initial=0)) for steps in axes)
        lowest = start + sum(int(steps.min(initial=0)) for steps in axes)
        if lowest < 0 or highest >= self._starts[at + 1] - self._starts[at]:
            return None
        if any(size > 1 and len(set(steps.tolist())) < size for size, steps in zip(value.shape, axes, strict=True)):
            return None  # elements are repeated
        view = WeightView(start, tuple(map(_step, axes)))
        whole = value.shape == self._shapes[at] and view == whole_view(value.shape)
        if value.size == 1 and not whole:  # a number that happens to be a code
            return None
        return CodedPart(name, None if whole else view, tuple(value.shape), self._shapes[at])


def _along(codes: NDArray[np.int32], axis: int) -> NDArray[np.int64]:
    line = codes[tuple(slice(None) if other == axis else 0 for other in range(codes.ndim))]
    return line.astype(np.int64)


def _is_sum(codes: NDArray[np.int32], first: int, axes: list[NDArray[np.int64]]) -> bool:
    """Whether every code is the first one plus a step along each axis; row by row, which takes little memory."""
    inner = np.zeros((), np.int64)
    for steps in axes[1:]:
        inner = inner[..., None] + steps
    return all(np.array_equal(row, inner + (first + step)) for row, step in zip(codes, axes[0].tolist(), strict=True))


def _step(steps: NDArray[np.int64]) -> int | tuple[int, ...]:
    """The step of equally spaced positions, or the positions."""
    step = int(steps[1]) if steps.size > 1 else 0
    return step if np.array_equal(steps, np.arange(steps.size) * step) else tuple(steps.tolist())


def whole_view(shape: tuple[int, ...]) -> WeightView:
    """Return the view of all elements of a tensor of a shape, in its order."""
    steps = [1]
    for size in reversed(shape[1:]):
        steps.insert(0, steps[0] * size)
    return WeightView(0, tuple(step if size > 1 else 0 for step, size in zip(steps, shape, strict=True)))
