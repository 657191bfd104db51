"""Tables of scalars and a scale of each output channel, fitted in turns by least squares.

Each turn takes the nearest entry for each value over its channel's scale, then the entries of least error, then the scales
of least error (alternating least squares, as Lloyd's algorithm does without scales). It costs a few passes over the
weight. The first entries are the exact ones of a sample.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from palettune.evaluators.compression.carrier import Carrier, to_half
from palettune.evaluators.compression.clustering import cluster_values
from palettune.space.encoding import Axis, Table
from palettune.space.layer import Layer

__all__ = ["ScaledTables", "fitted_scale", "middle", "other_axes", "within_reach"]

_SAMPLE = 2**13
_LARGEST_RATIO = 1e12


class ScaledTables:
    """Tables of one weight under scales of its output channels.

    Args:
        carrier: of the layer.
        weight: the weight, in the layer's layout.
        table: bits and groups of the tables; other parts of it are not looked at.
        scale: of each output channel, to begin with.

    Attributes:
        scale: the present scales.
    """

    def __init__(self, carrier: Carrier, weight: Tensor, table: Table, scale: Tensor) -> None:
        self._layer, self._axis = carrier.layer, carrier.axis(0 if table.axis is Axis.OUTPUT else 1)
        self._weight, self.scale = weight, scale
        self._group = table.group or weight.shape[self._axis]
        self._entries = [_sampled(values, counts, 2**table.bits) for values, counts in self._parts()]
        self._turn_entries()

    def turn(self) -> None:
        """Find the scales for the present stored values, then entries for these scales."""
        self.scale = fitted_scale(self._layer, self._weight, self.stored, self.scale)
        self._turn_entries()

    def rounded(self) -> tuple[Tensor, Tensor]:
        """Return stored values and tables with entries in fp16: in the weight's shape, and as coremltools' buffer ``lut``."""
        self._entries = [to_half(entries) for entries in self._entries]
        self._assign()
        shape = [1] * self._weight.dim()
        shape[self._axis] = len(self._entries)
        return self.stored, torch.stack(self._entries).reshape(*shape, -1, 1)

    def _turn_entries(self) -> None:
        labels = self._assign()
        for at, ((values, counts), label) in enumerate(zip(self._parts(), labels, strict=True)):
            before = self._entries[at]
            mass = torch.bincount(label, counts.double(), len(before))
            total = torch.bincount(label, (counts * values).double(), len(before))
            means = (total / mass.clamp_min(1e-300)).float()
            self._entries[at] = torch.where(mass > 0, means, before).sort().values
        self._assign()

    def _assign(self) -> list[Tensor]:
        """Take the nearest entry for each value; give their positions by group."""
        labels, stored = [], []
        for entries, part in zip(self._entries, self._split(self._weight / self.scale), strict=True):
            label = torch.bucketize(part, (entries[1:] + entries[:-1]) / 2)
            labels.append(label.flatten())
            stored.append(entries[label])
        self.stored = torch.cat(stored, self._axis)
        return labels

    def _parts(self) -> list[tuple[Tensor, Tensor]]:
        """Values over scales, and what an error of each counts in the weight, flat, by group."""
        counts = self.scale.square().expand_as(self._weight)
        parts = zip(self._split(self._weight / self.scale), self._split(counts), strict=True)
        return [(values.flatten(), some.flatten()) for values, some in parts]

    def _split(self, values: Tensor) -> tuple[Tensor, ...]:
        return torch.split(values, self._group, self._axis)


def fitted_scale(layer: Layer, weight: Tensor, stored: Tensor, before: Tensor) -> Tensor:
    """Return the scale of each output channel with the least squared error, where one is; that before elsewhere."""
    others = other_axes(layer)
    products = (weight * stored).sum(others, keepdim=True)
    squares = stored.square().sum(others, keepdim=True)
    fitted = products / squares.clamp_min(1e-30)
    return within_reach(torch.where((products > 0) & (squares > 0), fitted, before))


def other_axes(layer: Layer) -> list[int]:
    """Return the axes of a layer's weight but that of its output channels."""
    return [axis for axis in range(len(layer.shape)) if axis != layer.output_axis]


def middle(scale: Tensor) -> Tensor:
    """Return the median of the positive scales; 1 where there is none."""
    positive = scale[scale > 0]
    return positive.median() if positive.numel() else torch.ones(())


def within_reach(scale: Tensor, reach: float = 2.0**8) -> Tensor:
    """Clamp scales to a ratio of ``reach`` to their median, lest outputs or the normalization leave fp16."""
    return scale.clamp(middle(scale) / reach, middle(scale) * reach)


def _sampled(values: Tensor, counts: Tensor, count: int) -> Tensor:
    """The exact entries of evenly drawn values, in ascending order, ``count`` of them."""
    step = max(1, len(values) // _SAMPLE)
    some, weights = values[::step].numpy(), counts[::step].numpy().astype(np.float32)
    weights = np.maximum(weights, weights.max() / _LARGEST_RATIO + 1e-30)
    centres, _ = cluster_values(np.ascontiguousarray(some), weights, count)
    found = torch.from_numpy(centres)
    return torch.cat([found, found[-1:].expand(count - len(found))])
