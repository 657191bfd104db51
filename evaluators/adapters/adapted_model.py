"""A frozen compressed model with peft's low-rank adapters (https://huggingface.co/docs/peft) in training.

peft is an optional package; it is imported where adapters are made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from palettune.device_bench.conversion.low_rank import LowRank
from palettune.evaluators.fine_tuning.trainee import Role, Trainee
from palettune.evaluators.weights.model_state import ModelState
from palettune.space.errors import UserError
from palettune.space.layer import Layer, LayerKind

__all__ = ["AdaptedModel", "AdapterError", "adaptable"]

_NAME = "default"  # peft's own
_KINDS = (LayerKind.LINEAR, LayerKind.CONV1D, LayerKind.CONV2D, LayerKind.CONV3D)


class AdapterError(UserError):
    """Adapters that cannot be made: peft is missing, or a layer has no branch."""


class AdaptedModel(Trainee):
    """The model of a state, frozen, with adapters beside some of its layers.

    Args:
        model: the float model; left as it is.
        start: the state that is frozen.
        layers: names of the layers that get an adapter.
        rank: of each.
        device: where it is trained.

    Raises:
        AdapterError: peft is not installed.
    """

    def __init__(
        self, model: nn.Module, start: ModelState, layers: Sequence[str], rank: int, device: torch.device
    ) -> None:
        peft = _peft()
        self.start, self.device, self.layers = start, device, tuple(layers)
        module = start.apply(model, metadata=False).eval().requires_grad_(False)
        names = "|".join(re.escape(name) for name in layers)  # a pattern: bare names would match endings of others
        config = peft.LoraConfig(r=rank, lora_alpha=rank, target_modules=names, bias="none")
        self.module: nn.Module = peft.inject_adapter_in_model(config, module).eval().to(device)
        self._trained = {name: p for name, p in self.module.named_parameters() if p.requires_grad}

    def parameters(self) -> dict[str, tuple[Tensor, Role]]:
        """The adapters' weights, by peft's names; those that start from zero have a rate of their own.

        They are to move faster than the others (Hayou, Ghosh and Yu 2024, "LoRA+", https://arxiv.org/abs/2402.12354).
        """
        return {name: (p, Role.TABLE if "lora_B" in name else Role.WEIGHT) for name, p in self._trained.items()}

    def outputs(self, inputs: tuple[Tensor, ...]) -> Any:
        """The outputs, differentiable in the adapters."""
        return self.module(*inputs)

    def tensors(self) -> dict[str, Tensor]:
        """The adapters' weights, copied."""
        return {name: parameter.detach().cpu().clone() for name, parameter in self._trained.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what ``tensors`` gave."""
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(tensors[name])

    def branches(self) -> dict[str, LowRank]:
        """The adapters as they are now, their scaling taken in, in fp16."""
        found = {}
        for name in self.layers:
            adapter: Any = self.module.get_submodule(name)
            down, up = adapter.lora_A[_NAME].weight, adapter.lora_B[_NAME].weight * adapter.scaling[_NAME]
            found[name] = LowRank(*(value.detach().cpu().half().float().contiguous() for value in (down, up)))
        return found

    def merged(self) -> dict[str, Tensor]:
        """For each layer, what its adapter adds to its weight."""
        return {
            name: self.module.get_submodule(name).get_delta_weight(_NAME).detach().cpu().float()  # type: ignore[operator]
            for name in self.layers
        }


def adaptable(layers: Mapping[str, Layer], rank: int, asked: Sequence[str] | None = None) -> tuple[str, ...]:
    """The layers that get an adapter.

    Args:
        layers: by name.
        rank: of each adapter.
        asked: names; all whose adapter is less than a quarter of their weight unless given.

    Raises:
        AdapterError: a layer asked for is unknown, or of a kind without adapters.
    """
    if asked is None:
        return tuple(
            name for name, layer in layers.items() if _suits(layer) and 4 * _values(layer, rank) < layer.parameters
        )
    for name in asked:
        if name not in layers:
            raise AdapterError(f"adapters: no layer {name!r}; there are {', '.join(list(layers)[:8])} ...")
        if not _suits(layers[name]):
            kinds = ", ".join(_KINDS)
            raise AdapterError(f"adapters: layer {name!r} is a {layers[name].kind}; expected ungrouped {kinds}, untied")
    return tuple(asked)


def _suits(layer: Layer) -> bool:
    return layer.kind in _KINDS and layer.groups == 1 and not layer.tied


def _values(layer: Layer, rank: int) -> int:
    return rank * (layer.parameters // layer.output_channels + layer.output_channels)


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise AdapterError("adapters need the package peft: pip install 'palettune[adapters]'") from error
    return peft
