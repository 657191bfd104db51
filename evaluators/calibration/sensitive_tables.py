"""Sensitive k-means: tables whose entries lie where the output depends on the weights.

Each element counts by the mean square of its gradient (Kim et al., "SqueezeLLM: dense-and-sparse quantization", 2023;
``coremltools.optimize.torch.palettization.SKMPalettizer``, of which this is the same in bounded memory).
"""

from __future__ import annotations

import torch
from torch import Tensor

from palettune.device_bench.conversion.compressed_weight import CompressedWeight
from palettune.evaluators.calibration.layer_method import LayerMethod, LayerTask
from palettune.evaluators.compression.carrier import Carrier
from palettune.evaluators.compression.lut import palettize
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind

__all__ = ["SensitiveTables", "clipped"]

_SMALLEST = 1e-2
_MOST_BITS = 6


class SensitiveTables(LayerMethod):
    """Weighted k-means."""

    name = "sensitive_k_means"
    version = 2

    @classmethod
    def applies(cls, layer: Layer, encoding: Encoding) -> bool:
        """Tables of at most 6 bits without sparsity; not of embeddings, whose unseen rows would count for nothing."""
        table = encoding.table
        return (
            table is not None
            and encoding.sparsity is None
            and table.bits <= _MOST_BITS
            and layer.kind is not LayerKind.EMBEDDING
        )

    @classmethod
    def find(cls, task: LayerTask) -> CompressedWeight:
        """Weighted clusters."""
        table = task.encoding.table
        assert table is not None
        importance = task.importance(task.layer.name)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(task.seed)
            return palettize(Carrier(task.layer, task.encoding), task.weight, table, clipped(importance))


def clipped(importance: Tensor) -> Tensor:
    """Importance between 0.01 and 1, as coremltools clips it: k-means does not converge where most count for nothing."""
    largest = importance.max()
    return (importance / largest).clamp_min(_SMALLEST) if bool(largest > 0) else torch.ones_like(importance)
