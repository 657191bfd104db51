"""8-bit inputs of ops that take a weight, whatever calls them, while a model runs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from palettune.device_bench.package_model.quantized_activation import ActivationQuantization
from palettune.device_bench.package_model.rounded_products import RoundedProducts, clear_rounded_products
from palettune.evaluators.weights.weight_uses import WeightUse, watched_ops
from palettune.space.layer import Layer

__all__ = ["round_uses"]


def round_uses(model: nn.Module, by_layer: Mapping[Layer, ActivationQuantization]) -> None:
    """Round from now on what the ops of a model multiply by some layers' weights, replacing earlier roundings.

    Gradients pass a rounding as if it were not there.
    """
    clear_rounded_products(model)
    hook = _RoundedUses(by_layer)
    model.register_forward_pre_hook(hook)
    model.register_forward_hook(hook.end, always_call=True)


class _RoundedUses(RoundedProducts):
    """Watches the ops of each forward pass; weights are looked up as it begins, where training has put its own."""

    def __init__(self, by_layer: Mapping[Layer, ActivationQuantization]) -> None:
        super().__init__(by_layer)
        self._by_name = {layer.name: rounding for layer, rounding in by_layer.items()}
        self._watching: list[contextlib.ExitStack] = []

    def __call__(self, model: nn.Module, inputs: tuple[Any, ...]) -> None:
        watching = contextlib.ExitStack()
        watching.enter_context(watched_ops(model, self.by_layer, self._rounded))
        self._watching.append(watching)

    def end(self, model: nn.Module, inputs: tuple[Any, ...], outputs: Any) -> None:
        """End the forward pass; without effect in a copy that a conversion has taken the rounding from."""
        if self._watching:
            self._watching.pop().close()

    def _rounded(self, name: str, use: WeightUse) -> Tensor | None:
        return self._by_name[name].round(use.given) if use.alone and use.given is not None else None
