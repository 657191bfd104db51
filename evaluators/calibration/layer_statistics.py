"""Layer statistics: Gram matrices of a layer's inputs, and input columns of held-out samples.

A weight error ``dW`` changes a layer's output by ``dW x`` for each column ``x`` of its (unfolded) input. The mean squared
change is ``dW G dW^T`` with the Gram matrix ``G``, the mean of ``x x^T``: the Hessian of GPTQ and SparseGPT up to a
factor.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from palettune.evaluators.calibration.input_columns import fewer_columns, input_columns
from palettune.evaluators.calibration.samples import CalibrationSamples
from palettune.evaluators.weights.weight_uses import WeightUse, called_as_module, watched_weights
from palettune.evaluators.workload.course import Course
from palettune.evaluators.workload.halving import with_room
from palettune.evaluators.workload.samples import Inputs
from palettune.space.layer import Layer, LayerKind

__all__ = ["LayerStatistics", "StatisticsCache", "as_matrices", "from_matrices", "layer_statistics", "observable"]

_CONVOLUTIONS = (LayerKind.CONV1D, LayerKind.CONV2D)
_KINDS = (LayerKind.LINEAR, LayerKind.MATMUL, LayerKind.RECURRENT, *_CONVOLUTIONS)
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
        layers = tuple(layers)
        self._model, self._samples, self._memory = model, samples, memory_bytes
        self._kinds = {layer.name: layer.kind for layer in layers if not observable(layer)}
        self._layers = {
            layer.name: layer
            for layer in sorted(layers, key=lambda x: x.name)
            if observable(layer) and _gram_bytes(layer) <= memory_bytes
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

    def lacking(self, name: str) -> str:
        """Return why a layer has no statistics."""
        if name in self._kinds:
            return f"a layer of kind {self._kinds[name]} has none"
        if name not in self._layers:
            return f"they need more than {self._memory / 1024**3:g} GiB"
        return "no input of the layer was seen"

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
    """Return whether statistics exist for a kind of layer: matrices, and convolutions in one or two dimensions."""
    return layer.kind in _KINDS and (len(layer.shape) == 2 or layer.kind in _CONVOLUTIONS)


def as_matrices(weight: Tensor, layer: Layer) -> Tensor:
    """Reshape a weight to (G, R, K): groups, output channels of a group, inputs times kernel."""
    upright = weight.transpose(0, 1) if layer.kind is LayerKind.MATMUL else weight
    return upright.reshape(layer.groups, upright.shape[0] // layer.groups, -1)


def from_matrices(matrices: Tensor, layer: Layer) -> Tensor:
    """Reshape matrices (G, R, K) to the layer's weight; the inverse of ``as_matrices``."""
    if layer.kind is LayerKind.MATMUL:
        return matrices.reshape(layer.shape[::-1]).transpose(0, 1).contiguous()
    return matrices.reshape(layer.shape)


def layer_statistics(
    model: nn.Module, layers: Iterable[Layer], fit: Sequence[Inputs] | Course, held_out: Sequence[Inputs] | Course
) -> dict[str, LayerStatistics]:
    """Run the float model on both parts of the data and return the statistics by layer; unreached layers are left out.

    Layers that are modules are watched by their calls; where one is never called, uses of its weight are looked for.
    """
    chosen = [layer for layer in layers if observable(layer)]
    found = _collected(model, chosen, fit, held_out, modules=True)
    missed = [layer for layer in chosen if layer.name not in found and called_as_module(model, layer)]
    return {**found, **_collected(model, missed, fit, held_out, modules=False)} if missed else found


def _collected(
    model: nn.Module,
    layers: Sequence[Layer],
    fit: Sequence[Inputs] | Course,
    held_out: Sequence[Inputs] | Course,
    *,
    modules: bool,
) -> dict[str, LayerStatistics]:
    def fitted(size: int) -> _Collector:
        collector = _Collector(layers)
        _run(model, Course.of(fit).together(size), collector, modules=modules)
        return collector

    collector = with_room(fitted, _BATCH)
    collector.fitting = False
    _run(model, Course.of(held_out), collector, modules=modules)
    return {name: statistics for name, statistics in collector.found.items() if statistics.columns}


def _run(model: nn.Module, course: Course, collector: _Collector, *, modules: bool) -> None:
    layers = list(collector.layers.values())

    @contextlib.contextmanager
    def watching() -> Iterator[None]:
        with watched_weights(model, layers, collector.see, modules=modules):
            yield
        collector.end()

    with torch.inference_mode():
        for _ in course.outputs(model, watching):
            pass


class _Collector:
    """Adds the inputs of forward passes to statistics."""

    def __init__(self, layers: Iterable[Layer]) -> None:
        self.layers = {layer.name: layer for layer in layers}
        self.found: dict[str, LayerStatistics] = {}
        self.fitting = True
        self._pass: dict[str, list[Tensor]] = {}

    def see(self, name: str, use: WeightUse) -> None:
        columns = input_columns(use, self.layers[name])
        if use.by_module:
            self._add(name, columns)
        else:  # the steps of a sequence are one sample
            self._pass.setdefault(name, []).append(columns)

    def end(self) -> None:
        """End a forward pass."""
        for name, columns in self._pass.items():
            self._add(name, fewer_columns(torch.cat(columns, -1)))
        self._pass.clear()

    def _add(self, name: str, columns: Tensor) -> None:
        if not self.fitting:
            if name in self.found:
                self.found[name].columns.append(columns.clone())
            return
        statistics = self.found.setdefault(name, LayerStatistics(torch.zeros(())))
        total = statistics.seen + columns.shape[-1]
        share = columns.shape[-1] / total
        mean = columns @ columns.transpose(1, 2) / columns.shape[-1]
        statistics.gram = (1 - share) * statistics.gram + share * mean
        statistics.seen = total
