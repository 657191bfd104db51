"""Layers of several kinds with correlated inputs, for tests of layer methods."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.calibration.layer_method import LayerTask
from palettune.evaluators.calibration.layer_statistics import LayerStatistics, as_matrices, from_matrices
from palettune.evaluators.compression.compression import compress
from palettune.space.encoding import Encoding
from palettune.space.layer import LayerKind

__all__ = ["LAYERS", "task_of"]


class _Product(nn.Module):
    """A matrix product: the weight is (inputs, outputs)."""

    layer_kind = LayerKind.MATMUL

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) / inputs**0.5)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(32, 24),
    "product": lambda: _Product(32, 24),
    "pointwise": lambda: nn.Conv2d(32, 24, 1),
    "convolution": lambda: nn.Conv2d(8, 16, 3),
    "grouped": lambda: nn.Conv1d(16, 16, 3, groups=2),
    "depthwise": lambda: nn.Conv2d(16, 16, 3, groups=16),
}


def task_of(module: nn.Module, encoding: Encoding, seed: int = 0) -> LayerTask:
    """Return the task of one layer: 400 correlated inputs, and their mean squares as the importance of its elements."""
    generator = torch.Generator().manual_seed(seed)
    (layer,) = layers_of(nn.Sequential(module))
    layer = type(layer)("0", layer.kind, layer.shape, layer.groups)
    columns = layer.parameters // layer.output_channels
    mixing = torch.randn(layer.groups, columns, columns, generator=generator)
    inputs = (
        mixing @ torch.randn(layer.groups, columns, 400, generator=generator) * torch.logspace(0, -2, columns)[:, None]
    )
    gram = inputs @ inputs.transpose(1, 2) / 400
    weight = module.get_parameter("weight").detach()
    statistics = LayerStatistics(gram, [inputs])
    spread = from_matrices(gram.diagonal(dim1=1, dim2=2)[:, None].expand_as(as_matrices(weight, layer)), layer)

    def importance(_name: str) -> Tensor:
        return spread

    return LayerTask(layer, encoding, weight, compress(weight, layer, encoding), statistics, importance)
