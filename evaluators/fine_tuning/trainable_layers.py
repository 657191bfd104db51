"""Choice of the trainable weight for a layer's encoding."""

from __future__ import annotations

import torch
from torch import Tensor

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.fine_tuning.trainable_linear import TrainableLinear
from palettune.evaluators.fine_tuning.trainable_sparse import TrainableSparse
from palettune.evaluators.fine_tuning.trainable_table import TrainableTable
from palettune.evaluators.fine_tuning.trainable_weight import TrainableHalf, TrainableWeight
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer

__all__ = ["reencoded", "trainable_weight"]


def trainable_weight(
    layer: Layer, encoding: Encoding, start: CompressedWeight, weight: Tensor, gradual: bool = False
) -> TrainableWeight:
    """Return the trainable weight of one layer in its encoding.

    Args:
        layer: the layer.
        encoding: of its weight.
        start: the compressed weight to start from.
        weight: the float weight.
        gradual: whether the sparsity of a sparse encoding rises gradually.
    """
    if encoding.sparsity is not None:
        return TrainableSparse(layer, encoding, start, weight, gradual)
    if encoding.table is not None:
        return TrainableTable(layer, encoding, start, weight)
    if encoding.linear is not None:
        return TrainableLinear(layer, encoding, start, weight)
    return TrainableHalf(layer, encoding, start)


def reencoded(layer: Layer, encoding: Encoding, start: CompressedWeight, weight: Tensor) -> CompressedWeight:
    """Encode another weight with the tables, scales and zeros of ``start``: each value is rounded to the nearest one."""
    trainable = trainable_weight(layer, encoding, start, weight)
    with torch.no_grad():
        trainable.put(weight)
    return trainable.compressed()
