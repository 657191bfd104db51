"""Importance: mean squared gradient of each element of each layer's weight, from calibration data."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn

from palettune.device_bench.model.layer_weight import held_tensor, taken_from
from palettune.evaluators.calibration.samples import CalibrationSamples
from palettune.evaluators.placement import CPU, copied, placed
from palettune.evaluators.quality.divergence import Reference
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.sensitivity.fisher import drawn_loss
from palettune.evaluators.sensitivity.gradients import NO_GRADIENT, accumulate
from palettune.space.layer import Layer

__all__ = ["Importance"]

_MOST = 32


class Importance:
    """Mean squared gradients of all layers, computed together at the first request.

    For logits this is the diagonal of the Fisher information. Labels or output projections are drawn from the model, as
    for the Fisher score, so the data need no labels.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Iterable[Layer],
        kind: DivergenceKind,
        samples: CalibrationSamples,
        seed: int = 0,
        device: torch.device = CPU,
    ) -> None:
        self._model, self._kind, self._seed, self._device = model, kind, seed, device
        self._layers = tuple(layers)
        self._course = samples.fitting().first(_MOST)
        self._found: dict[str, Tensor] | None = None
        self._refusal: str | None = None

    def get(self, layer: str) -> Tensor:
        """Return the mean squared gradients of one layer's weight, in its shape, on the CPU.

        Raises:
            ValueError: the weight has no gradient, or one of zero in every sample.
        """
        if self._found is None:
            self._found = self._squares()
        if layer not in self._found:
            why = f"{NO_GRADIENT}{f' ({self._refusal})' if self._refusal else ''}"
            raise ValueError(f"no gradient reaches layer {layer!r} on the calibration data: {why}")
        return self._found[layer]

    def _squares(self) -> dict[str, Tensor]:
        model = copied(self._model, self._device).requires_grad_(False)
        held = {layer.name: held_tensor(model, layer.tensor) for layer in self._layers}
        with torch.inference_mode():
            outputs = list(self._course.outputs(placed(self._model, self._device)))
            energy = Reference.of(self._kind, outputs, self._course.axes).energy
        total: dict[str, Tensor] = {}
        for tensor in held.values():
            tensor.requires_grad_(True)
        for number, forward in enumerate(self._course.passes(model)):
            seed = self._seed * 1_000_003 + number
            loss = partial(drawn_loss, kind=self._kind, energy=energy, seed=seed, axes=self._course.axes)
            with self._course.gradients():
                _, refusal = accumulate(model, forward, loss)
            self._refusal = self._refusal or refusal
            for layer in self._layers:
                gradient = held[layer.name].grad
                squares = None if gradient is None else taken_from(gradient, layer).square()
                if squares is not None and bool(squares.any()):
                    total[layer.name] = total.get(layer.name, torch.zeros_like(squares)) + squares
            for tensor in held.values():
                tensor.grad = None
        return {name: squares.cpu() / len(self._course.inputs) for name, squares in total.items()}
