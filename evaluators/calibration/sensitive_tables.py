"""Sensitive k-means: tables clustered with each weight counted by its importance.

The importance of an element is the mean square of its gradient (Kim et al., "SqueezeLLM: dense-and-sparse quantization", 2023;
``coremltools.optimize.torch.palettization.SKMPalettizer``); this implementation gives the same in bounded memory.
"""

from __future__ import annotations

import torch
from torch import Tensor

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.calibration.layer_method import LayerMethod, LayerTask
from palettune.evaluators.compression.carrier import Carrier
from palettune.evaluators.compression.lut import palettize
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind

__all__ = ["SensitiveTables", "clipped"]

_SMALLEST = 1e-2
_MOST_BITS = 6


class SensitiveTables(LayerMethod):
    """Layer method that clusters weights by k-means weighted with their importance."""

    name = "sensitive_k_means"
    version = 2

    @classmethod
    def applies(cls, layer: Layer, encoding: Encoding) -> bool:
        """Return whether the encoding is a table of at most 6 bits without sparsity, and the layer no embedding.

        Rows of an embedding that the calibration data do not use would have no importance."""
        table = encoding.table
        return (
            table is not None
            and encoding.sparsity is None
            and table.bits <= _MOST_BITS
            and layer.kind is not LayerKind.EMBEDDING
        )

    @classmethod
    def find(cls, task: LayerTask) -> CompressedWeight:
        """Cluster the weight, each element counted by its importance."""
        table = task.encoding.table
        assert table is not None
        importance = task.importance(task.layer.name)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(task.seed)
            return palettize(Carrier(task.layer, task.encoding), task.weight, table, clipped(importance))


def clipped(importance: Tensor) -> Tensor:
    """Scale importance to at most 1 and clip it to at least 0.01, as coremltools does: k-means converges badly otherwise."""
    largest = importance.max()
    return (importance / largest).clamp_min(_SMALLEST) if bool(largest > 0) else torch.ones_like(importance)
