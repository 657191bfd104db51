"""The trainable weights of a model state, layer by layer, as its encodings ask."""

from __future__ import annotations

import torch
from torch import Tensor

from palettune.device_bench.conversion.compressed_weight import CompressedWeight
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
    """What is trained of one layer.

    Args:
        layer: the layer.
        encoding: how its weight is stored.
        start: the compressed weight to start from.
        weight: the float weight.
        gradual: let zeros come gradually where the encoding has zeros.
    """
    if encoding.sparsity is not None:
        return TrainableSparse(layer, encoding, start, weight, gradual)
    if encoding.table is not None:
        return TrainableTable(layer, encoding, start, weight)
    if encoding.linear is not None:
        return TrainableLinear(layer, encoding, start, weight)
    return TrainableHalf(layer, encoding, start)


def reencoded(layer: Layer, encoding: Encoding, start: CompressedWeight, weight: Tensor) -> CompressedWeight:
    """Another weight in the tables, scales and zeros of a compressed one: each value to the nearest that they hold."""
    trainable = trainable_weight(layer, encoding, start, weight)
    with torch.no_grad():
        trainable.put(weight)
    return trainable.compressed()
