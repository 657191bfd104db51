"""Columns of a layer's weight for the inputs of an op that takes a strided view of a tensor.

A forward pass transposes, cuts, reshapes or copies a parameter before an op multiplies by it; the layer holds its elements
in the order of the converted program. Both are orders of the same elements, so each column of the layer can be looked up
in the op's operand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from palettune.device_bench.conversion.weights.weight_codes import whole_view
from palettune.space.layer import Layer

__all__ = ["Strides", "WeightColumns", "weight_columns"]


@dataclass(frozen=True, slots=True)
class Strides:
    """Offset and strides of a tensor in its storage.

    Attributes:
        offset: of the first element.
        shape: lengths of the axes.
        steps: of the axes, in elements.
    """

    offset: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]

    @classmethod
    def of(cls, tensor: Tensor) -> Strides:
        """Return those of a tensor."""
        return cls(int(tensor.storage_offset()), tuple(tensor.shape), tuple(tensor.stride()))

    @property
    def elements(self) -> int:
        """Number of elements; those of an axis that was only repeated count once."""
        return math.prod(size for size, step in zip(self.shape, self.steps, strict=True) if step)

    def places(self, index: Tensor) -> Tensor:
        """Return the places in the storage (N) of elements given by their index on each axis (axes, N)."""
        steps = torch.tensor(self.steps, dtype=torch.long).reshape(-1, 1)
        return self.offset + (index * steps).sum(0)

    def index(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return the index on each axis (axes, N) of the elements at some places (N), and where there is one (N)."""
        left = places - self.offset
        index = torch.zeros(len(self.shape), len(places), dtype=torch.long)
        there = torch.ones(len(places), dtype=torch.bool)
        for axis in sorted(range(len(self.shape)), key=lambda one: -self.steps[one]):
            if self.shape[axis] == 1 or not self.steps[axis]:
                continue
            index[axis] = left.div(self.steps[axis], rounding_mode="floor")
            there &= (index[axis] >= 0) & (index[axis] < self.shape[axis])
            left = left - index[axis] * self.steps[axis]
        return index, there & (left == 0)


@dataclass(frozen=True, eq=False, slots=True)
class WeightColumns:
    """The inputs of an op that a layer's columns meet.

    Attributes:
        inputs: for each column of the layer's matrices the op's input, (K); -1 for a column that this use leaves out.
            None where they are the same in number and order.
        batch: the only index on the operand's batch axis that the layer's elements have; None for all.
        whole: the columns meet all inputs of the op.
    """

    inputs: Tensor | None
    batch: int | None
    whole: bool = True


@lru_cache(maxsize=4096)
def weight_columns(
    layer: Layer,
    copies: tuple[tuple[Strides, Strides], ...],
    operand: Strides,
    axes: tuple[int, ...],
    batch: int | None = None,
) -> WeightColumns | None:
    """Find a layer's columns in an operand; None where it holds none, or not as columns.

    Args:
        layer: the layer.
        copies: what became of the tensor that holds its weight: each maps places to those in the next storage.
        operand: the op's, in the last of these storages.
        axes: those over which the op sums, in the order of its inputs.
        batch: the axis along which the op multiplies matrix by matrix.
    """
    view = layer.view or whole_view(layer.shape)
    along = [
        torch.arange(size) * axis if isinstance(axis, int) else torch.tensor(axis)
        for axis, size in zip(view.axes, layer.shape, strict=True)
    ]
    rows = view.start + along.pop(layer.output_axis)
    columns = torch.zeros(1, dtype=torch.long)
    for steps in along:
        columns = (columns[:, None] + steps).reshape(-1)
    found = _Lookup(copies, operand)
    held = found.rows(rows, columns)
    if not len(held):
        return None
    index, there = found.index(held[0] + columns)
    other, also = found.index(held[-1] + columns)
    inputs = torch.where(there, _raveled(index, operand, axes), -1)
    both = there & also
    if not bool((inputs == _raveled(other, operand, axes))[both].all()) or _repeats(inputs[there]):
        return None
    at = None
    if batch is not None and operand.shape[batch] > 1 and operand.steps[batch]:
        numbers = {*index[batch][there].tolist(), *other[batch][also].tolist()}
        if len(numbers) != 1:
            return None
        at = numbers.pop()
    count = math.prod(operand.shape[axis] for axis in axes)
    plain = len(inputs) == count and torch.equal(inputs, torch.arange(count))
    whole = at is None and len(inputs) == count and bool((inputs >= 0).all())
    return WeightColumns(None if plain else inputs, at, whole)


@dataclass(frozen=True)
class _Lookup:
    """Finds elements of a tensor in an operand by their place in the tensor."""

    copies: tuple[tuple[Strides, Strides], ...]
    operand: Strides

    def index(self, places: Tensor) -> tuple[Tensor, Tensor]:
        there = torch.ones(len(places), dtype=torch.bool)
        for before, after in self.copies:
            index, held = before.index(places)
            places, there = after.places(index), there & held
        index, held = self.operand.index(places)
        return index, there & held

    def rows(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Rows of which elements are found in some columns; else the first, middle or last where any column is."""
        for column in (columns[0], columns[len(columns) // 2], columns[-1]):
            held = rows[self.index(rows + column)[1]]
            if len(held):
                return held
        some = rows[[0, len(rows) // 2, -1]]
        return some[[bool(self.index(row + columns)[1].any()) for row in some]]


def _raveled(index: Tensor, operand: Strides, axes: tuple[int, ...]) -> Tensor:
    number = torch.zeros_like(index[0])
    for axis in axes:
        number = number * operand.shape[axis] + index[axis]
    return number


def _repeats(values: Tensor) -> bool:
    return len(set(values.tolist())) < len(values)
