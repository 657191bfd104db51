"""Training of a frozen compressed model with low-rank adapters from peft (https://huggingface.co/docs/peft).

peft is an optional package, imported when the first adapter is made.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from palettune.device_bench.conversion.low_rank import LowRank
from palettune.evaluators.fine_tuning.trainee import Role, Trainee
from palettune.evaluators.weights.model_state import ModelState
from palettune.space.errors import UserError
from palettune.space.layer import Layer, LayerKind

__all__ = ["AdaptedModel", "AdapterError", "adaptable", "unadapted"]

_NAME = "default"  # peft's own
_KINDS = (LayerKind.LINEAR, LayerKind.CONV1D, LayerKind.CONV2D, LayerKind.CONV3D)


class AdapterError(UserError):
    """Error where adapters cannot be made: peft is not installed, or a requested layer is unknown or unsuitable."""


class AdaptedModel(Trainee):
    """A compressed model with frozen weights and trainable adapters beside some of its layers.

    Args:
        model: the float model; not changed.
        start: the state whose weights are frozen.
        layers: names of the layers that get an adapter.
        rank: of each adapter.
        device: of the training.

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
        """Return the adapters' weights by peft's names, each with the role that selects its learning rate.

        The second matrices, which start from zero, get a higher rate than the first (Hayou, Ghosh and Yu 2024,
        "LoRA+", https://arxiv.org/abs/2402.12354).
        """
        return {name: (p, Role.TABLE if "lora_B" in name else Role.WEIGHT) for name, p in self._trained.items()}

    def outputs(self, inputs: tuple[Tensor, ...]) -> Any:
        """Run the model; its outputs are differentiable in the adapters."""
        return self.module(*inputs)

    def tensors(self) -> dict[str, Tensor]:
        """Return copies of the adapters' weights, by name."""
        return {name: parameter.detach().cpu().clone() for name, parameter in self._trained.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore weights returned by ``tensors``."""
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(tensors[name])

    def branches(self) -> dict[str, LowRank]:
        """Return the current adapters in fp16 precision, with their scaling included, over the scales of their layers."""
        found = {}
        for name in self.layers:
            adapter: Any = self.module.get_submodule(name)
            down, up = adapter.lora_A[_NAME].weight, adapter.lora_B[_NAME].weight * adapter.scaling[_NAME]
            branch = LowRank(down.detach().cpu(), up.detach().cpu())
            if (scale := self.start.weights[name].scale) is not None:
                branch = branch.scaled(1 / scale.flatten())
            found[name] = LowRank(*(value.half().float().contiguous() for value in (branch.down, branch.up)))
        return found

    def merged(self) -> dict[str, Tensor]:
        """Return by layer the matrix that its adapter adds to the weight, in the shape of the weight."""
        return {
            name: self.module.get_submodule(name).get_delta_weight(_NAME).detach().cpu().float()  # type: ignore[operator]
            for name in self.layers
        }


def adaptable(
    layers: Mapping[str, Layer], rank: int, asked: Sequence[str] | None = None, called: Collection[str] | None = None
) -> tuple[str, ...]:
    """Choose the layers that get an adapter.

    Args:
        layers: by name.
        rank: of each adapter.
        asked: names of layers; by default, those whose adapter is smaller than a quarter of their weight.
        called: names of the modules that a forward pass calls, all of them unless given: nothing is added beside others.

    Raises:
        AdapterError: a layer asked for is unknown, or of a kind without adapters.
    """
    if asked is None:
        return tuple(name for name, layer in layers.items() if unadapted(layer, rank, called) is None)
    suiting = {name for name, layer in layers.items() if _unsuited(layer, called) is None}
    for name in asked:
        if name not in layers:
            raise AdapterError(f"adapters: no layer {name!r}; the layers are {', '.join(list(layers)[:8])} ...")
        if name not in suiting:
            kinds = ", ".join(_KINDS)
            raise AdapterError(
                f"adapters: layer {name!r} ({layers[name].kind}) cannot have an adapter; expected an ungrouped layer "
                f"({kinds}) that is called as a module, whose weight is not tied"
            )
    return tuple(asked)


def unadapted(layer: Layer, rank: int, called: Collection[str] | None = None) -> str | None:
    """Return why a layer that nobody has asked for gets no adapter; arguments are those of ``adaptable``."""
    reason = _unsuited(layer, called)
    if reason is None and 4 * _values(layer, rank) >= layer.parameters:
        return f"an adapter of rank {rank} has a quarter of their weight's values or more"
    return reason


def _unsuited(layer: Layer, called: Collection[str] | None) -> str | None:
    if layer.kind not in _KINDS:
        return f"layers of kind {layer.kind} have none"
    if layer.module is None or (called is not None and layer.module not in called):
        return "the weight is used without a call of a module"
    if layer.tied:
        return "the weight has several uses"
    return "the layer has groups" if layer.groups > 1 else None


def _values(layer: Layer, rank: int) -> int:
    return rank * (layer.parameters // layer.output_channels + layer.output_channels)


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise AdapterError("adapters need the package peft: pip install 'palettune[adapters]'") from error
    return peft
