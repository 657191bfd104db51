"""The weight of a layer in a torch module: read, and put back, whatever tensor holds it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from palettune.space.layer import Layer, WeightView

__all__ = ["elements_of", "held_tensor", "layer_weight", "put_layer_weight", "taken_from", "with_weight"]


def held_tensor(root: nn.Module, name: str) -> Tensor:
    """Return the parameter or buffer of a dotted name.

    Raises:
        AttributeError: the module holds none of this name.
    """
    owner, _, leaf = name.rpartition(".")
    module = root.get_submodule(owner)
    found = getattr(module, leaf, None)
    if not isinstance(found, Tensor):
        raise AttributeError(f"module {owner!r} ({type(module).__name__}) holds no tensor {leaf!r}")
    return found


def layer_weight(root: nn.Module, layer: Layer) -> Tensor:
    """Return a layer's weight, in the layer's shape; the memory is the module's where that is possible."""
    return taken_from(held_tensor(root, layer.tensor).detach(), layer)


def put_layer_weight(root: nn.Module, layer: Layer, weight: Tensor) -> None:
    """Write a layer's weight into the tensor that holds it, in place; other elements of the tensor stay.

    Args:
        weight: of the layer's shape.

    Raises:
        ValueError: the weight has another shape.
    """
    held = held_tensor(root, layer.tensor).detach()
    if tuple(weight.shape) != (expected := tuple(held.shape) if layer.view is None else layer.shape):
        raise ValueError(f"layer {layer.name!r}: its weight has shape {expected}, not {tuple(weight.shape)}")
    held.copy_(with_weight(held, layer, weight.to(held.device)))


def taken_from(tensor: Tensor, layer: Layer) -> Tensor:
    """Return the elements of a tensor that are a layer's weight, in the layer's shape.

    Args:
        tensor: of the shape of the tensor that holds the weight: its values, or one number for each of them such as a
            gradient.
    """
    return elements_of(tensor, layer.view, layer.shape)


def elements_of(tensor: Tensor, view: WeightView | None, shape: tuple[int, ...]) -> Tensor:
    """Return the elements of a tensor that a view takes, in a shape; the memory is the tensor's where that is possible."""
    if view is None:
        return tensor
    flat, steps = tensor.reshape(-1), view.steps
    if steps is not None and min(steps) >= 0:
        return flat.as_strided(shape, steps, flat.storage_offset() + view.start)
    return flat[_positions(view, shape, tensor.device)]


def with_weight(tensor: Tensor, layer: Layer, weight: Tensor) -> Tensor:
    """Return a tensor whose elements that are a layer's weight are replaced; gradients flow into the weight.

    Args:
        tensor: of the shape of the tensor that holds the weight.
        weight: of the layer's shape.
    """
    if layer.view is None:
        return weight
    positions = _positions(layer.view, layer.shape, tensor.device).reshape(-1)
    return tensor.reshape(-1).index_copy(0, positions, weight.reshape(-1).to(tensor.dtype)).reshape(tensor.shape)


def _positions(view: WeightView, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Position in the tensor of each element of the weight."""
    found = torch.tensor(view.start, device=device)
    for axis, size in zip(view.axes, shape, strict=True):
        along = torch.arange(size, device=device) * axis if isinstance(axis, int) else torch.tensor(axis, device=device)
        found = found.unsqueeze(-1) + along
    return found
