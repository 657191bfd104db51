"""Names and kinds of the weights that a converted program holds of a torch module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from palettune.device_bench.conversion.weights.weight_choice import FoundWeight
from palettune.space.layer import Layer, LayerKind

__all__ = ["discovered_layers"]


def discovered_layers(module: nn.Module, weights: Sequence[FoundWeight], own: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return the layers that these weights are, in their order.

    A weight that a module's class says the meaning of is that module's layer. Any other is named by its parameter, or
    by its module where the parameter is its only one and named ``weight``; numbered where a parameter holds several.

    Args:
        module: the model.
        weights: found in its program.
        own: layers that modules have by their class.
    """
    by_tensor = {layer.tensor: layer for layer in own}
    parts = Counter(weight.part.tensor for weight in weights)
    owners = Counter(tensor.rpartition(".")[0] for tensor in parts)
    seen: Counter[str] = Counter()
    found: list[Layer] = []
    for weight in weights:
        tensor = weight.part.tensor
        plain = by_tensor.get(tensor)
        if plain is not None and weight.part.view is None:
            found.append(_used_as(plain, weight.kinds))
            continue
        owner, _, leaf = tensor.rpartition(".")
        name = owner if owner and leaf == "weight" and owners[owner] == 1 and parts[tensor] == 1 else tensor
        if parts[tensor] > 1:
            name, seen[tensor] = f"{tensor}.{seen[tensor]}", seen[tensor] + 1
        kind, *others = weight.kinds
        tied = tuple((name, other) for other in others)
        found.append(Layer(name, kind, weight.part.shape, weight.groups, tied, parameter=tensor, view=weight.part.view))
    return tuple(found)


def _used_as(layer: Layer, kinds: Sequence[LayerKind]) -> Layer:
    """A module's layer, whose weight the program takes as it is where it does so."""
    if LayerKind.OPERAND not in kinds:
        return layer
    return replace(layer, kind=kinds[0], tied=(*layer.tied, *((layer.name, other) for other in kinds[1:])))
