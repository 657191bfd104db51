"""Compression of a weight whose output channels a normalization may scale: scales and stored values, fitted in turns.

A table or an integer grid that many channels share wastes its entries where the channels differ in size. The normalization
after the layer gives each channel a scale of its own that costs nothing (``weights.normalizations``). Values are
compressed under given scales, each scale is then the one of least squared error in the weight, and so on. Scales by
cross-layer equalization: Nagel et al., "Data-free quantization through weight equalization and bias correction", 2019; in
turns with the values, as in alternating least squares: Zhang et al., "LQ-Nets", 2018.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.compression.carrier import Carrier
from palettune.evaluators.compression.compression import compress
from palettune.evaluators.compression.errors import CompressionError
from palettune.evaluators.compression.scaled_tables import ScaledTables, fitted_scale, middle, other_axes, within_reach
from palettune.space.encoding import Encoding, Entries, Granularity
from palettune.space.layer import Layer

__all__ = ["compress_with_free_scales", "free_scales_version"]

_VERSION = 1
_TURNS = 10
_TURNS_OF_INTEGERS = 4
_WORTH = 0.999
"""Largest squared error, as a share of that without scales, for which scales are taken."""
_LEAST_IMPORTANCE = 1e-2
"""Of the largest: k-means converges badly where weights differ by more."""


def free_scales_version(encoding: Encoding) -> int:
    """Return the version of the algorithm for an encoding; 0 where scales of output channels can gain nothing."""
    linear, table = encoding.linear, encoding.table
    if table is not None:
        return 0 if table.scaled else _VERSION
    shared = linear is not None and (linear.granularity is Granularity.TENSOR or linear.rows > 1)
    return _VERSION if shared and encoding.sparsity is None else 0


def compress_with_free_scales(values: Tensor, layer: Layer, encoding: Encoding, seed: int = 0) -> CompressedWeight:
    """Compress the weight of one layer, with scales that its normalization takes back where they lessen the error.

    Args:
        values: the layer's weight; not changed.
        layer: description of the layer; without a normalization there are no scales.
        encoding: how to store the weight.
        seed: as for ``compress``.

    Returns:
        The compressed weight of least squared error; its ``scale`` is ``None`` where scales gain less than a thousandth.

    Raises:
        CompressionError: as for ``compress``.
    """
    plain = compress(values, layer, encoding, seed)
    if layer.normalization is None or not free_scales_version(encoding):
        return plain
    weight = values.detach().cpu().float()
    best, least = plain, _WORTH * _error(plain, weight)
    with contextlib.suppress(CompressionError):  # over its scales it cannot be stored in this way
        for tried in _tried(weight, layer, encoding, plain, seed):
            if (error := _error(tried, weight)) < least:
                best, least = tried, error
    return best


def _tried(
    weight: Tensor, layer: Layer, encoding: Encoding, plain: CompressedWeight, seed: int
) -> Iterator[CompressedWeight]:
    """Compress under the scales that suit the encoding: to begin with, the size of each channel over the median of all.

    So outputs, which are over their scales until the normalization, stay as large as they were."""
    table = encoding.table
    size = weight.square().mean(other_axes(layer), keepdim=True).sqrt()
    scale = within_reach(size / middle(size))
    if table is None:
        for _ in range(_TURNS_OF_INTEGERS):
            found = _compressed(weight, scale, layer, encoding, seed)
            yield found
            scale = found.scale if found.scale is not None else scale
    elif table.vector > 1 or encoding.sparsity is not None:
        yield _compressed(weight, scale, layer, encoding, seed)
    else:
        tables = ScaledTables(Carrier(layer, encoding), weight, table, scale)
        for _ in range(_TURNS):
            tables.turn()
        if table.entries is not Entries.FP16:
            yield _compressed(weight, tables.scale, layer, encoding, seed)
            return
        stored, lut = tables.rounded()
        yield CompressedWeight(stored, {**plain.buffers, "lut": lut}, fitted_scale(layer, weight, stored, tables.scale))


def _compressed(weight: Tensor, scale: Tensor, layer: Layer, encoding: Encoding, seed: int) -> CompressedWeight:
    counts = scale.square().expand_as(weight)
    importance = (counts / counts.max()).clamp_min(_LEAST_IMPORTANCE)
    found = compress(weight / scale, layer, encoding, seed, importance.contiguous())
    return replace(found, scale=fitted_scale(layer, weight, found.weight, scale))


def _error(compressed: CompressedWeight, weight: Tensor) -> float:
    return float((compressed.effective - weight).double().square().sum())
