"""Palettization of one weight by k-means.

Scalars of equal importance are clustered by coremltools' PostTrainingPalettizer, all others in bounded memory
(``clustering``).
"""

from __future__ import annotations

import math

import torch
from coremltools.optimize.torch.palettization import (
    ModulePostTrainingPalettizerConfig,
    PostTrainingPalettizer,
    PostTrainingPalettizerConfig,
)
from torch import Tensor, nn

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.compression.carrier import Carrier, quiet, spread, to_half
from palettune.evaluators.compression.clustering import BoundedKMeans
from palettune.evaluators.library_internals import KMeansConfig
from palettune.space.encoding import Axis, Entries, Table

__all__ = ["cluster", "palettize", "table_buffers"]

_STAGE = "palettization"
_SMALLEST_SCALE = 2.0**-24


def palettize(carrier: Carrier, weight: Tensor, table: Table, importance: Tensor | None = None) -> CompressedWeight:
    """Cluster a weight into tables; entries and scales are rounded to fp16, as the package stores them.

    Args:
        importance: positive weight of each element, in the weight's shape; equal weights unless given.

    Raises:
        CompressionError: coremltools failed or skipped the layer, or groups or vectors do not divide the channels.
    """
    bounded = importance is not None or table.vector > 1
    module = _clustered(carrier, weight, table, importance) if bounded else cluster(carrier, weight, table)
    lut = carrier.per_axis(_buffer(carrier, module, "lut"), tail=2)
    decoded = carrier.weight(module)
    if table.entries is not Entries.FP16:
        return _integer_entries(carrier, module, table, lut, decoded)
    if not table.scaled:
        return CompressedWeight(to_half(decoded), table_buffers(carrier, table, to_half(lut)))
    scale = carrier.per_axis(_buffer(carrier, module, "palettization_scale"))
    stored = torch.where(_dead(carrier, weight), torch.zeros_like(scale), to_half(scale).clamp(min=_SMALLEST_SCALE))
    buffers = {**table_buffers(carrier, table, to_half(lut)), "palettization_scale": stored}
    return CompressedWeight(carrier.product(to_half(decoded / scale) * stored), buffers)


def cluster(carrier: Carrier, weight: Tensor, table: Table) -> nn.Sequential:
    """Run coremltools' k-means on a weight and return the carrier's module with its metadata."""
    module = carrier.module(weight)
    config = ModulePostTrainingPalettizerConfig(
        n_bits=table.bits,
        lut_dtype=None if table.entries is Entries.FP16 else table.entries.value,
        granularity="per_tensor" if table.group is None else "per_grouped_channel",
        group_size=table.group,
        channel_axis=0 if table.axis is Axis.OUTPUT else 1,
        enable_per_channel_scale=table.scaled,
        rounding_precision=4 if table.scaled else _decimals(weight),
    )
    palettizer = PostTrainingPalettizer(module, PostTrainingPalettizerConfig(global_config=config))
    with quiet() as heard:
        try:
            palettizer.compress(num_kmeans_workers=1, inplace=True)
        except (AssertionError, RuntimeError, ValueError) as error:
            raise carrier.failure(_STAGE, f"coremltools failed: {error}") from error
    if carrier.buffer(module, "lut") is None:
        raise carrier.failure(_STAGE, f"coremltools skipped the layer: {'; '.join(heard) or 'it gave no reason'}")
    return module


def _clustered(carrier: Carrier, weight: Tensor, table: Table, importance: Tensor | None) -> nn.Sequential:
    """Cluster in bounded memory, each element weighted by its importance as in coremltools' SKMPalettizer."""
    layer = carrier.layer
    channels = layer.output_channels if table.axis is Axis.OUTPUT else layer.input_channels
    if channels % (table.group or channels) or (table.group or channels) % table.vector:
        raise carrier.failure(_STAGE, f"groups or vectors do not divide {channels} channels, and would be skipped")
    module = carrier.module(weight)
    config = KMeansConfig(
        n_bits=table.bits,
        axis=0 if table.axis is Axis.OUTPUT else 1,
        lut_dtype=None if table.entries is Entries.FP16 else getattr(torch, table.entries.value),
        block_size=table.group,
        cluster_dim=table.vector if table.vector > 1 else None,
        enable_per_channel_scale=table.scaled,
        importance=None if importance is None else carrier.weight_of(importance),
    )
    with quiet():
        try:
            BoundedKMeans.cluster_weights(module, {"0": {"weight": config}})
        except (AssertionError, RuntimeError, ValueError) as error:
            raise carrier.failure(_STAGE, f"coremltools failed: {error}") from error
    return module


def _dead(carrier: Carrier, weight: Tensor) -> Tensor:
    """Output channels of zeros: no entry need be zero, so only their scale can keep them so."""
    others = [axis for axis in range(weight.dim()) if axis != carrier.layer.output_axis]
    return weight.abs().amax(dim=others, keepdim=True) == 0


def table_buffers(carrier: Carrier, table: Table, lut: Tensor) -> dict[str, Tensor]:
    """Return coremltools' metadata of a table, in the layer's layout."""
    buffers = {"compression_type": torch.tensor([2]), "lut": lut}
    if table.vector > 1:
        buffers["vector_axis"] = torch.tensor(carrier.axis(0 if table.axis is Axis.OUTPUT else 1))
    return buffers


def _integer_entries(
    carrier: Carrier, module: nn.Sequential, table: Table, lut: Tensor, decoded: Tensor
) -> CompressedWeight:
    """Entries that coremltools quantized with a scale in float32, for the scale in fp16 that the package stores."""
    scale = carrier.per_axis(_buffer(carrier, module, "quantization_scale"), tail=2)
    stored = torch.where(scale > 0, to_half(scale).clamp(min=_SMALLEST_SCALE), torch.ones_like(scale))
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    entries = torch.round(lut / scale)
    if not entries.any() and table.entries is Entries.INT8:
        entries[..., -1, :] = 127  # used by nothing: the converter stores entries in 4 bits where all of them would fit
    buffers = {
        **table_buffers(carrier, table, entries * stored),
        "compression_type": torch.tensor([2, 3]),
        "quantization_n_bits": torch.tensor(8),
        "quantization_scale": stored,
    }
    if table.entries is Entries.UINT8:
        zero = carrier.per_axis(_buffer(carrier, module, "zero_point"), tail=2)
        buffers["zero_point"] = zero.to(torch.uint8)
    flat, flat_stored = spread(scale[..., 0, 0], decoded.shape), spread(stored[..., 0, 0], decoded.shape)
    return CompressedWeight(carrier.product(torch.round(decoded / flat) * flat_stored), buffers)


def _decimals(weight: Tensor) -> int:
    """Decimals that coremltools rounds weights to before clustering: 4 suit weights near 1, small ones need more."""
    largest = weight.abs().max().item()
    return 4 if largest == 0 else max(4, 3 - math.floor(math.log10(largest)))


def _buffer(carrier: Carrier, module: nn.Module, key: str) -> Tensor:
    found = carrier.buffer(module, key)
    if found is None:
        raise carrier.failure(_STAGE, f"coremltools left no {key}")
    return found.float()
