"""Importance: the mean square of the gradient of each element of each layer's weight, from calibration data."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from evaluators.calibration.samples import CalibrationSamples
from evaluators.divergence import Reference
from evaluators.divergence_kind import DivergenceKind
from evaluators.sensitivity.fisher import drawn_loss
from space.modules import kind_of

__all__ = ["Importance"]

_MOST = 32


class Importance:
    """The diagonal of the Fisher information (for logits), found at the first call for all layers at once.

    Gradients are of labels or projections drawn per sample, as for the Fisher score: no labels are needed.
    """

    def __init__(self, model: nn.Module, kind: DivergenceKind, samples: CalibrationSamples, seed: int = 0) -> None:
        self._model, self._kind, self._seed = model, kind, seed
        self._course = samples.fitting().first(_MOST)
        self._found: dict[str, Tensor] | None = None

    def get(self, layer: str) -> Tensor:
        """In the shape of the layer's weight.

        Raises:
            ValueError: the weight has no gradient.
        """
        if self._found is None:
            self._found = self._squares()
        if layer not in self._found:
            raise ValueError(f"the weight of layer {layer!r} has no gradient on the calibration data")
        return self._found[layer]

    def _squares(self) -> dict[str, Tensor]:
        model = copy.deepcopy(self._model).requires_grad_(False)
        layers = {name: part for name, part in model.named_modules() if kind_of(part) is not None}
        with torch.inference_mode():
            outputs = list(self._course.outputs(self._model))
            energy = Reference.of(self._kind, outputs, self._course.axes).energy
        total: dict[str, Tensor] = {}
        for part in layers.values():
            part.get_parameter("weight").requires_grad_(True)
        for number, forward in enumerate(self._course.passes(model)):
            with torch.enable_grad(), self._course.gradients():
                loss, _ = drawn_loss(forward(), self._kind, energy, self._seed * 1_000_003 + number, self._course.axes)
                if not loss.requires_grad:
                    continue
                loss.backward()  # type: ignore[no-untyped-call]
            for name, part in layers.items():
                weight = part.get_parameter("weight")
                if weight.grad is not None:
                    total[name] = total.get(name, torch.zeros_like(weight.grad)) + weight.grad.square()
                weight.grad = None
        return {name: squares / len(self._course.inputs) for name, squares in total.items()}
