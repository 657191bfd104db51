"""Layer statistics: Gram matrices of a layer's inputs, and input columns of held-out samples.

A weight error ``dW`` changes a layer's output by ``dW x`` for each column ``x`` of its (unfolded) input. The mean squared
change is ``dW G dW^T`` with the Gram matrix ``G``, the mean of ``x x^T``: the Hessian of GPTQ and SparseGPT up to a
factor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from palettune.evaluators.calibration.samples import CalibrationSamples
from palettune.evaluators.library_internals import reversed_padding
from palettune.evaluators.workload.course import Course, Hook, watched
from palettune.evaluators.workload.halving import with_room
from palettune.evaluators.workload.samples import Inputs
from palettune.space.layer import Layer, LayerKind

__all__ = ["LayerStatistics", "StatisticsCache", "as_matrices", "from_matrices", "layer_statistics", "observable"]

_MODULES = (nn.Linear, nn.Conv1d, nn.Conv2d)
_KINDS = (LayerKind.LINEAR, LayerKind.CONV1D, LayerKind.CONV2D)
_POSITIONS = 64
_BATCH = 4
_MEMORY = 2 * 1024**3


@dataclass
class LayerStatistics:
    """Statistics of one layer's inputs, for G groups with a weight matrix (R, K) each.

    Attributes:
        gram: (G, K, K) float32, mean over samples and positions of the samples to fit on; on the model's device, where
            whatever is solved with it is computed.
        columns: for each held-out sample, (G, K, P) columns at some positions.
    """

    gram: Tensor
    columns: list[Tensor] = field(default_factory=list)
    seen: int = 0

    def errors(self, difference: Tensor, layer: Layer) -> tuple[float, ...]:
        """Return the mean squared output error on each held-out sample, for the weight error ``difference``."""
        matrices = as_matrices(difference.to(self.gram.device), layer)
        return tuple(float((matrices @ x).square().sum() / x.shape[-1]) for x in self.columns)


class StatisticsCache:
    """Statistics of a model's layers, collected for as many layers at a time as fit into memory.

    Args:
        memory_bytes: for the Gram matrices of one collection; a layer whose own is larger has no statistics.
    """

    def __init__(
        self, model: nn.Module, layers: Iterable[Layer], samples: CalibrationSamples, memory_bytes: int = _MEMORY
    ) -> None:
        self._model, self._samples, self._memory = model, samples, memory_bytes
        self._layers = {
            layer.name: layer
            for layer in sorted(layers, key=lambda x: x.name)
            if observable(layer)
            and layer.module is not None
            and isinstance(model.get_submodule(layer.name), _MODULES)
            and _gram_bytes(layer) <= memory_bytes
        }
        self._looked: dict[str, LayerStatistics | None] = {}

    def get(self, name: str) -> LayerStatistics | None:
        """Return the statistics of one layer.

        The result is ``None`` if no input reaches the layer, its kind is not observable, or they need too much memory.
        """
        if name not in self._layers:
            return None
        if name not in self._looked:
            chosen = self._together(name)
            found = layer_statistics(self._model, chosen, self._samples.fitting(), self._samples.judging())
            self._looked = {layer.name: found.get(layer.name) for layer in chosen}
        return self._looked[name]

    def _together(self, first: str) -> list[Layer]:
        names = list(self._layers)
        at = names.index(first)
        chosen: list[Layer] = []
        held = 0
        for name in names[at:] + names[:at]:
            layer = self._layers[name]
            held += _gram_bytes(layer)
            if chosen and held > self._memory:
                break
            chosen.append(layer)
        return chosen


def _gram_bytes(layer: Layer) -> int:
    return 4 * layer.groups * (layer.parameters // layer.output_channels) ** 2


def observable(layer: Layer) -> bool:
    """Return whether statistics exist for a kind of layer: linear layers, and convolutions in one or two dimensions."""
    return layer.kind in _KINDS


def as_matrices(weight: Tensor, layer: Layer) -> Tensor:
    """Reshape a weight to (G, R, K): groups, output channels of a group, inputs times kernel."""
    return weight.reshape(layer.groups, layer.shape[0] // layer.groups, -1)


def from_matrices(matrices: Tensor, layer: Layer) -> Tensor:
    """Reshape matrices (G, R, K) to the layer's weight; the inverse of ``as_matrices``."""
    return matrices.reshape(layer.shape)


def layer_statistics(
    model: nn.Module, layers: Iterable[Layer], fit: Sequence[Inputs] | Course, held_out: Sequence[Inputs] | Course
) -> dict[str, LayerStatistics]:
    """Run the float model on both parts of the data and return the statistics by layer; unreached layers are left out."""
    chosen = [layer for layer in layers if observable(layer)]

    def fitted(size: int) -> dict[str, LayerStatistics]:
        found: dict[str, LayerStatistics] = {}
        _run(model, Course.of(fit).together(size), {x.name: _watch(x, found, fitting=True) for x in chosen})
        return found

    found = with_room(fitted, _BATCH)
    _run(model, Course.of(held_out), {x.name: _watch(x, found, fitting=False) for x in chosen})
    return {name: statistics for name, statistics in found.items() if statistics.columns}


def _run(model: nn.Module, course: Course, hooks: Mapping[str, Hook]) -> None:
    with torch.inference_mode():
        for _ in course.outputs(model, lambda: watched(model, hooks)):
            pass


def _watch(layer: Layer, found: dict[str, LayerStatistics], *, fitting: bool) -> Hook:
    def watch(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        columns = _columns(module, layer, inputs[0].float())
        if not fitting:
            if layer.name in found:
                found[layer.name].columns.append(columns.clone())
            return
        statistics = found.setdefault(layer.name, LayerStatistics(torch.zeros(())))
        total = statistics.seen + columns.shape[-1]
        share = columns.shape[-1] / total
        mean = columns @ columns.transpose(1, 2) / columns.shape[-1]
        statistics.gram = (1 - share) * statistics.gram + share * mean
        statistics.seen = total

    return watch


def _columns(module: nn.Module, layer: Layer, values: Tensor) -> Tensor:
    """(G, K, P): the input as columns, at some evenly spread positions of each sample."""
    if layer.kind is LayerKind.LINEAR:
        rows = values.reshape(values.shape[0], -1, values.shape[-1]) if values.ndim > 1 else values[None, None]
        return rows[:, _spread(rows.shape[1])].flatten(0, 1).t()[None]
    assert isinstance(module, (nn.Conv1d, nn.Conv2d))
    if values.ndim == len(module.kernel_size) + 1:  # called without an axis of samples
        values = values.unsqueeze(0)
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    values = functional.pad(values, reversed_padding(module), mode=mode)
    kernel, stride, dilation = module.kernel_size, module.stride, module.dilation
    if layer.kind is LayerKind.CONV1D:
        values = values.unsqueeze(-2)
        kernel, stride, dilation = (1, *kernel), (1, *stride), (1, *dilation)
    down, across = (
        (size - d * (k - 1) - 1) // s + 1
        for size, k, d, s in zip(values.shape[-2:], kernel, dilation, stride, strict=True)
    )
    at = _spread(down * across)
    rows = at.div(across, rounding_mode="floor")[:, None] * stride[0] + torch.arange(kernel[0]) * dilation[0]
    places = (at % across)[:, None] * stride[1] + torch.arange(kernel[1]) * dilation[1]
    picked = values[:, :, rows[:, :, None], places[:, None, :]]  # (N, C, P, kh, kw): no other patch is ever copied
    samples, channels = picked.shape[:2]
    grouped = picked.reshape(samples, layer.groups, channels // layer.groups, *picked.shape[2:])
    return grouped.permute(1, 2, 4, 5, 0, 3).flatten(4).flatten(1, 3)


def _spread(count: int) -> Tensor:
    """At most 64 positions, evenly spread but not aligned with the rows of a picture."""
    if count <= _POSITIONS:
        return torch.arange(count)
    return (torch.arange(_POSITIONS, dtype=torch.float64) * 0.6180339887498949 % 1 * count).long()
