"""Training of a compressed model: its layers' trainable weights, normalizations and biases.

Normalizations stay in evaluation mode: their running statistics are the float model's or the calibrated ones
(Krishnamoorthi 2018, https://arxiv.org/abs/1806.08342, section 4.2), and only their weights and biases are trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from palettune.device_bench.model.layer_weight import held_tensor, layer_weight, put_layer_weight, with_weight
from palettune.evaluators.fine_tuning.trainable_layers import trainable_weight
from palettune.evaluators.fine_tuning.trainable_weight import TrainableWeight
from palettune.evaluators.fine_tuning.trainee import Role, Trainee
from palettune.evaluators.weights.model_state import ModelState
from palettune.space.layer import Layer

__all__ = ["METHOD", "TrainedModel", "TrainedPart"]

METHOD = "fine_tuning"


class TrainedPart(StrEnum):
    """Part of a model's parameters that is trained."""

    VECTORS = "norms_and_biases"
    """Normalizations, biases and other vectors that are no layer's weight."""
    EVERYTHING = "everything"


class TrainedModel(Trainee):
    """Trainable copy of a compressed model, whose weights are at any step ones that a package can store.

    Args:
        model: the float model; not changed.
        start: the state to start from.
        layers: by name, those of the configuration.
        part: the parameters to train.
        gradual: whether the sparsity of sparse encodings rises gradually.
        device: of the training.
    """

    def __init__(
        self,
        model: nn.Module,
        start: ModelState,
        layers: Mapping[str, Layer],
        part: TrainedPart,
        gradual: bool,
        device: torch.device,
    ) -> None:
        self.start, self.part, self.device = start, part, device
        self.module = start.apply(model, metadata=False).eval().to(device).requires_grad_(False)
        self.weights: dict[str, TrainableWeight] = {}
        self._scales: dict[str, Tensor] = {}  # of output channels, as they are at the start
        if part is TrainedPart.EVERYTHING:
            for name, encoding in start.configuration.encodings.items():
                compressed = start.weights[name]
                weight = compressed.over_scale(layer_weight(model, layers[name]).float())
                if compressed.scale is not None:
                    self._scales[name] = compressed.scale.to(device)
                made = trainable_weight(layers[name], encoding, compressed, weight, gradual)
                self.weights[name] = made.to(device)
        self.layers = {name: layers[name] for name in start.configuration.encodings}
        own = {id(held_tensor(self.module, layer.tensor)) for layer in self.layers.values()}
        self.others = {
            name: parameter.requires_grad_(True)
            for name, parameter in self.module.named_parameters()
            if id(parameter) not in own
            and parameter.is_floating_point()
            and (part is TrainedPart.EVERYTHING or _is_vector(self.module, name, parameter))
        }

    @property
    def settled(self) -> bool:
        """Whether every weight has the form of its encoding."""
        return all(weight.settled for weight in self.weights.values())

    def parameters(self) -> dict[str, tuple[Tensor, Role]]:
        """Return the trained parameters by name, each with its role."""
        found: dict[str, tuple[Tensor, Role]] = {name: (p, Role.VECTOR) for name, p in self.others.items()}
        for layer, weight in self.weights.items():
            for name, parameter in weight.named_parameters():
                found[f"{layer}/{name}"] = parameter, Role.WEIGHT if name == "latent" else Role.TABLE
        return found

    def advance(self, progress: float) -> None:
        """Update scheduled quantities of all weights; ``progress`` is the share of steps, 0 to 1."""
        for weight in self.weights.values():
            weight.advance(progress)

    def outputs(self, inputs: tuple[Tensor, ...]) -> Any:
        """Run the model; its outputs are differentiable in the parameters."""
        decoded: dict[str, Tensor] = {}
        for name, weight in self.weights.items():
            layer = self.layers[name]
            held = decoded.get(layer.tensor, held_tensor(self.module, layer.tensor))
            decoded[layer.tensor] = with_weight(held, layer, self._effective(name, weight))
        return functional_call(self.module, decoded, inputs, tie_weights=True)

    def settle(self) -> None:
        """Copy the present weights into ``module``."""
        for name, weight in self.weights.items():
            put_layer_weight(self.module, self.layers[name], self._effective(name, weight))

    def _effective(self, name: str, weight: TrainableWeight) -> Tensor:
        decoded = weight.decoded()
        return decoded * self._scales[name] if name in self._scales else decoded

    def tensors(self) -> dict[str, Tensor]:
        """Return copies of all tensors that training changes, by name."""
        found = {name: parameter.detach().cpu().clone() for name, parameter in self.others.items()}
        for layer, weight in self.weights.items():
            found |= {f"{layer}/{name}": value.detach().cpu().clone() for name, value in weight.state_dict().items()}
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore tensors returned by ``tensors``."""
        with torch.no_grad():
            for name, parameter in self.others.items():
                parameter.copy_(tensors[name])
        for layer, weight in self.weights.items():
            prefix = f"{layer}/"
            weight.load_state_dict({n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)})

    def state(self) -> ModelState:
        """Return the present state of the model.

        Raises:
            CompressionError, StateError: a value is not finite; the layer or parameter is named.
        """
        weights, methods = dict(self.start.weights), dict(self.start.methods)
        for name, weight in self.weights.items():
            weights[name], methods[name] = replace(weight.compressed(), scale=weights[name].scale), METHOD
        tensors = dict(self.start.tensors)
        tensors |= {name: parameter.detach().cpu().float().clone() for name, parameter in self.others.items()}
        return ModelState(
            self.start.configuration,
            self.start.model,
            weights,
            methods,
            tensors,
            dict(self.start.activations),
            layers=self.start.layers,
        )


def _is_vector(module: nn.Module, name: str, parameter: Tensor) -> bool:
    owner, _, leaf = name.rpartition(".")
    return parameter.ndim <= 1 or leaf == "bias" or "norm" in type(module.get_submodule(owner)).__name__.lower()
