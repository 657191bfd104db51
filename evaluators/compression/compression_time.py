"""Estimate of the time that compressing a weight takes."""

from __future__ import annotations

from palettune.evaluators.compression.clustering import sample_size
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer

__all__ = ["compression_seconds"]

_VALUE, _GROUPED, _SPARSE, _INTEGER = 0.25e-6, 0.4e-6, 0.3e-6, 0.03e-6
_DISTANCE, _SAMPLED_DISTANCE = 4e-7, 1e-6


def compression_seconds(layer: Layer, encoding: Encoding) -> float:
    """Estimate the seconds that compressing a weight takes on one server CPU thread, within a factor of two.

    The constants were measured by ``experiments/benchmarks/clustering``."""
    count, table = layer.parameters, encoding.table
    if table is not None and table.vector > 1:
        vectors, entries = count // table.vector, 1 << table.bits
        return entries * (_DISTANCE * vectors + _SAMPLED_DISTANCE * min(vectors, sample_size(entries)))
    if table is not None:
        return count * ((_VALUE if table.group is None else _GROUPED) + (_SPARSE if encoding.sparsity else 0.0))
    return count * (_SPARSE if encoding.sparsity else _INTEGER)
