"""Outputs of a model: floating-point tensors in order, and outputs of several batches joined in their structure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from palettune.device_bench.model.outputs import children, flatten, rebuild, tensors
from palettune.evaluators.placement import device_of, on

__all__ = ["concatenate", "first_non_finite_module", "flatten", "floating_outputs", "joined_outputs"]


def floating_outputs(outputs: Any) -> list[tuple[str, Tensor]]:
    """Return the floating-point tensors among a model's outputs, with names, in order."""
    return [(name, value) for name, value in flatten(outputs) if value.is_floating_point()]


def joined_outputs(parts: Sequence[Any], axis: int | None = 0) -> Any:
    """Join a model's outputs of all batches into one object of the model's output type, for ``metrics``.

    Tensors in any nested structure are joined along an axis; those without axes are stacked, one value for each batch.
    Other values are kept if they are the same in every batch. Values that cannot be joined become a list by batch:
    tensors whose other axes differ, values that differ, structures with different content.

    Args:
        axis: as for ``concatenate``.

    Raises:
        OutputError: a structure of the outputs' type cannot be built; the message names the type.
    """
    first = parts[0]
    if all(isinstance(part, Tensor) for part in parts):
        return torch.stack(list(parts)) if all(part.ndim == 0 for part in parts) else _joined_tensors(parts, axis)
    found = [children(part) for part in parts]
    if all(one is not None for one in found) and len({type(part) for part in parts}) == 1:
        keys = {tuple(key for key, _ in one or ()) for one in found}
        if len(keys) > 1:
            return list(parts)
        columns = zip(*([child for _, child in one or ()] for one in found), strict=True)
        return rebuild(first, [joined_outputs(list(column), axis) for column in columns])
    return first if all(_same(first, part) for part in parts) else list(parts)


def concatenate(parts: Sequence[Any], axis: int | None = 0) -> Any:
    """Join per-batch targets along an axis in their structure; return a list by batch where they cannot be joined.

    Args:
        axis: of the samples; values without this axis are joined along their first one. ``None`` if a batch is one sample:
            then only values whose first axis has length 1 are joined.
    """
    first = parts[0]
    if first is None:
        return None
    if isinstance(first, Tensor):
        return _joined_tensors(parts, axis)
    if isinstance(first, Mapping):
        return {key: concatenate([part[key] for part in parts], axis) for key in first}
    if isinstance(first, tuple) and len({len(part) for part in parts}) == 1:
        return tuple(concatenate([part[index] for part in parts], axis) for index in range(len(first)))
    return list(parts)


def _but(value: Tensor, axis: int) -> tuple[int, ...]:
    """The shape without one axis."""
    return (*value.shape[:axis], *value.shape[axis + 1 :])


def first_non_finite_module(module: nn.Module, inputs: tuple[Tensor, ...]) -> str | None:
    """Return the name of the first submodule, in execution order, whose output is not finite; ``None`` if all are finite."""
    found: list[str] = []

    def watch(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if not found and any(not bool(torch.isfinite(v).all()) for v in tensors(output) if v.is_floating_point()):
                found.append(name)

        return hook

    leaves = [(name, leaf) for name, leaf in module.named_modules() if name and not any(leaf.children())]
    handles = [leaf.register_forward_hook(watch(name)) for name, leaf in leaves]
    try:
        with torch.inference_mode():
            module(*on(inputs, device_of(module)))
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def _joined_tensors(parts: Sequence[Tensor], axis: int | None) -> Any:
    first = parts[0]
    at = axis if axis is not None and first.ndim > axis else 0
    joinable = first.ndim > 0 and all(_but(part, at) == _but(first, at) for part in parts)
    joinable = joinable and (axis is not None or all(part.shape[0] == 1 for part in parts))
    return torch.cat(list(parts), at) if joinable else list(parts)


def _same(one: Any, other: Any) -> bool:
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:
        return False
