"""A model's outputs in one shape: an ordered list of named floating-point tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["concatenate", "first_non_finite_module", "flatten", "floating_outputs"]


def flatten(outputs: Any, name: str = "output") -> list[tuple[str, Tensor]]:
    """Every tensor of a model's outputs with a readable name, in a stable order.

    Tensors, (named) tuples, lists, dicts and dataclass-like mappings nest freely; ``None`` entries are left out.
    """
    if isinstance(outputs, Tensor):
        return [(name, outputs)]
    if isinstance(outputs, Mapping):
        return [item for key in outputs for item in flatten(outputs[key], f"{name}.{key}")]
    if isinstance(outputs, Sequence) and not isinstance(outputs, str):
        return [item for index, value in enumerate(outputs) for item in flatten(value, f"{name}.{index}")]
    if outputs is None:
        return []
    raise TypeError(f"{name} is a {type(outputs).__name__}; expected tensors, or tuples, lists or dicts of tensors")


def floating_outputs(outputs: Any) -> list[tuple[str, Tensor]]:
    """The floating-point tensors among a model's outputs: those from which a divergence can be taken."""
    return [(name, value) for name, value in flatten(outputs) if value.is_floating_point()]


def concatenate(parts: Sequence[Any], axis: int | None = 0) -> Any:
    """Per-batch values joined along an axis, structure kept; a plain list where they cannot be joined.

    Args:
        axis: that of the samples; values without it are joined along their first one. Where it is ``None``, a batch is
            a sample, and only values whose first axis is of length 1 are joined.
    """
    first = parts[0]
    if first is None:
        return None
    if isinstance(first, Tensor):
        at = axis if axis is not None and first.ndim > axis else 0
        joinable = first.ndim > 0 and all(_but(part, at) == _but(first, at) for part in parts)
        joinable = joinable and (axis is not None or all(part.shape[0] == 1 for part in parts))
        return torch.cat(list(parts), at) if joinable else list(parts)
    if isinstance(first, Mapping):
        return {key: concatenate([part[key] for part in parts], axis) for key in first}
    if isinstance(first, tuple) and len({len(part) for part in parts}) == 1:
        return tuple(concatenate([part[index] for part in parts], axis) for index in range(len(first)))
    return list(parts)


def _but(value: Tensor, axis: int) -> tuple[int, ...]:
    """The shape without one axis."""
    return (*value.shape[:axis], *value.shape[axis + 1 :])


def first_non_finite_module(module: nn.Module, inputs: tuple[Tensor, ...]) -> str | None:
    """The name of the first submodule, in execution order, whose output is not finite; ``None`` when all are."""
    found: list[str] = []

    def watch(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if not found and any(not bool(torch.isfinite(value).all()) for _, value in floating_outputs(output)):
                found.append(name)

        return hook

    leaves = [(name, leaf) for name, leaf in module.named_modules() if name and not any(leaf.children())]
    handles = [leaf.register_forward_hook(watch(name)) for name, leaf in leaves]
    try:
        with torch.inference_mode():
            module(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None
