"""Layout of a weight under its tables: (tables, vectors of one table, length of a vector)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from palettune.space.encoding import Axis, Table
from palettune.space.layer import Layer

__all__ = ["TableLayout", "nearest_entries"]

_MOST_DISTANCES = 2**24  # at a time, to bound memory


@dataclass(frozen=True)
class TableLayout:
    """Assignment of a weight's elements to tables and vectors.

    Attributes:
        axis: the weight's axis along which groups and vectors run.
        shape: of the weight.
        tables: number of tables, G.
        vector: length of an entry, V.
    """

    axis: int
    shape: tuple[int, ...]
    tables: int
    vector: int

    @classmethod
    def of(cls, layer: Layer, table: Table) -> TableLayout:
        """Return the layout of one layer's weight under a table."""
        axis = layer.output_axis if table.axis is Axis.OUTPUT else layer.input_axis
        channels = layer.shape[axis]
        return cls(axis, layer.shape, channels // (table.group or channels), table.vector)

    def fold(self, weight: Tensor) -> Tensor:
        """Reshape a weight to (G, N, V)."""
        moved = weight.movedim(self.axis, 0).reshape(self.tables, -1, self.vector, self._others)
        return moved.transpose(2, 3).reshape(self.tables, -1, self.vector)

    def unfold(self, folded: Tensor) -> Tensor:
        """Reshape (G, N, V) to the weight's shape; the inverse of ``fold``."""
        moved = folded.reshape(self.tables, -1, self._others, self.vector).transpose(2, 3)
        rest = [length for axis, length in enumerate(self.shape) if axis != self.axis]
        return moved.reshape(self.shape[self.axis], *rest).movedim(0, self.axis)

    def entries(self, lut: Tensor) -> Tensor:
        """Reshape coremltools' buffer of tables to (G, entries, V)."""
        return lut.reshape(self.tables, -1, self.vector)

    def buffer(self, entries: Tensor) -> Tensor:
        """Reshape (G, entries, V) to coremltools' buffer: one axis for each of the weight's, then entries, then the vector."""
        lead = [1] * len(self.shape)
        lead[self.axis] = self.tables
        return entries.reshape(*lead, -1, self.vector)

    @property
    def _others(self) -> int:
        return math.prod(self.shape) // self.shape[self.axis]


def nearest_entries(values: Tensor, entries: Tensor) -> Tensor:
    """Return the index (G, N) of the entry (G, K, V) nearest to each value (G, N, V); of equal ones the first."""
    if values.shape[-1] == 1:
        ordered, order = torch.sort(entries[..., 0], dim=1, stable=True)
        middles = (ordered[:, 1:] + ordered[:, :-1]) / 2
        return order.gather(1, torch.searchsorted(middles.contiguous(), values[..., 0].contiguous()))
    chosen = []
    squares = entries.square().sum(-1)[:, None]
    for part in torch.split(values, max(1, _MOST_DISTANCES // (entries.shape[0] * entries.shape[1])), dim=1):
        distances = squares - 2 * part @ entries.transpose(1, 2)
        chosen.append(distances.argmin(-1))
    return torch.cat(chosen, dim=1)
