"""Palettization of one weight by coremltools' PostTrainingPalettizer (k-means)."""

from __future__ import annotations

import math

import numpy as np
import torch
from coremltools.optimize.torch.palettization import (
    ModulePostTrainingPalettizerConfig,
    PostTrainingPalettizer,
    PostTrainingPalettizerConfig,
)
from torch import Tensor, nn

from device_bench.compressed_weight import CompressedWeight
from evaluators.compression_carrier import Carrier, quiet, to_half
from space.encoding import Axis, Entries, Table

__all__ = ["palettize"]

_STAGE = "palettization"


def palettize(carrier: Carrier, weight: Tensor, table: Table) -> CompressedWeight:
    """Cluster a weight into tables. Entries are rounded to fp16, as the package stores them."""
    if table.entries is not Entries.FP16:
        raise carrier.failure(_STAGE, "8-bit entries are not there yet")
    module = cluster(carrier, weight, table)
    lut = carrier.per_axis(to_half(_buffer(carrier, module, "lut")), tail=2)
    decoded = to_half(carrier.weight(module))
    buffers = {"compression_type": torch.tensor([2]), "lut": lut}
    if table.vector > 1:
        buffers["vector_axis"] = torch.tensor(carrier.axis(0 if table.axis is Axis.OUTPUT else 1))
    if table.scaled:
        buffers["palettization_scale"] = carrier.per_axis(_buffer(carrier, module, "palettization_scale"))
    return CompressedWeight(decoded, buffers)


def cluster(carrier: Carrier, weight: Tensor, table: Table) -> nn.Sequential:
    """The carrier module after coremltools' k-means, with its metadata."""
    module = carrier.module(weight)
    config = ModulePostTrainingPalettizerConfig(
        n_bits=table.bits,
        lut_dtype=None if table.entries is Entries.FP16 else table.entries.value,
        granularity="per_tensor" if table.group is None else "per_grouped_channel",
        group_size=table.group,
        channel_axis=0 if table.axis is Axis.OUTPUT else 1,
        cluster_dim=table.vector if table.vector > 1 else None,
        enable_per_channel_scale=table.scaled,
        rounding_precision=_decimals(weight, table),
    )
    np.random.seed(torch.randint(2**31, [1]).item() if table.vector > 1 else 0)
    with quiet() as heard:
        PostTrainingPalettizer(module, PostTrainingPalettizerConfig(global_config=config)).compress(
            num_kmeans_workers=1, inplace=True
        )
    if carrier.buffer(module, "lut") is None:
        raise carrier.failure(_STAGE, f"coremltools skipped the layer: {'; '.join(heard) or 'it gave no reason'}")
    return module


def _decimals(weight: Tensor, table: Table) -> int:
    """Decimals that coremltools rounds weights to before clustering: 4 suit weights near 1, small ones need more."""
    largest = 1.0 if table.scaled else weight.abs().max().item()
    return 4 if largest == 0 else max(4, 4 - math.floor(math.log10(largest)) - 1)


def _buffer(carrier: Carrier, module: nn.Module, key: str) -> Tensor:
    found = carrier.buffer(module, key)
    if found is None:
        raise carrier.failure(_STAGE, f"coremltools left no {key}")
    return found.float()
