"""Number of values that pruning leaves of a weight."""

from __future__ import annotations

import math

import numpy as np

from palettune.space.encoding_parts import Axis, Granularity, Sparsity
from palettune.space.layer import Layer

__all__ = ["nonzero_count", "pruned_unit_size"]


def nonzero_count(layer: Layer, sparsity: Sparsity | None) -> int:
    """Count the values that pruning leaves; all of them without sparsity.

    Counts as coremltools' MagnitudePruner does (``optimize/torch/pruning/_utils.py``, coremltools 9.0): exact where none
    of the values that it keeps is zero or becomes zero by quantization, and no units tie; an upper bound but for ties.
    """
    if sparsity is None:
        return layer.parameters
    if sparsity.n_of_m is not None:
        n, m = sparsity.n_of_m
        channels = layer.output_channels if sparsity.axis is Axis.OUTPUT else layer.input_channels
        rest = channels % m
        kept = channels // m * (m - n) + (rest - max(0, n - (m - rest)) if rest else 0)
        return layer.parameters // channels * kept
    unit = pruned_unit_size(layer, sparsity)
    if sparsity.granularity is Granularity.BLOCK:
        return math.ceil(_share(layer.parameters, sparsity) / unit) * unit
    return _share(layer.parameters // unit, sparsity) * unit


def pruned_unit_size(layer: Layer, sparsity: Sparsity) -> int:
    """Return how many values become zero together."""
    if sparsity.granularity is Granularity.BLOCK:
        return sparsity.block or 1
    if sparsity.granularity is Granularity.KERNEL:
        return math.prod(layer.shape[2:])
    if sparsity.granularity is Granularity.CHANNEL:
        return layer.parameters // layer.output_channels
    return 1


def _share(count: int, sparsity: Sparsity) -> int:
    """The pruner multiplies in single precision and rounds up."""
    return math.ceil(float(np.float32(count) * np.float32(1 - sparsity.share)))
