"""Preparation of the user's module: float32, on the CPU, every parameter in memory of its own."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from palettune.device_bench.library_internals import buffer_slots
from palettune.device_bench.model.outputs import OutputError, map_tensors
from palettune.evaluators.computed_weights.held_tensors import held_tensors
from palettune.evaluators.library_internals import (
    holds_packed_weights,
    is_traceable_wrapper_subclass,
    own_parameters,
)
from palettune.space.errors import UserError

__all__ = [
    "LoadingError",
    "TensorSlot",
    "check_loadable",
    "held_alike",
    "same_memory",
    "take_to_float32",
    "to_float32",
    "untangle",
]

#: Module and name that hold a tensor.
TensorSlot = tuple[nn.Module, str]


class LoadingError(UserError):
    """Error for a model that cannot be used as it is; the message names the module and what to do."""


def check_loadable(model: Any) -> None:
    """Raise LoadingError unless the model is a module with float values: no lazy, meta or quantized tensors."""
    if not isinstance(model, nn.Module):
        found = type(model).__name__
        raise LoadingError(
            f"returned a {found}; expected a torch.nn.Module, a program of torch, or the path of an .mlpackage"
        )
    for name, module in model.named_modules():
        where = f"returned a model whose module {name!r} ({type(module).__name__})"
        if holds_packed_weights(module):
            raise LoadingError(f"{where} is quantized already; return the float model")
        for held, tensor in held_tensors(module):
            why = _not_plain(held, tensor)
            if why is not None:
                raise LoadingError(f"{where} {why}")


def _not_plain(name: str, tensor: Tensor) -> str | None:
    if is_lazy(tensor):
        return f"has no shapes yet ({name!r} is not initialized); run the model once in model()"
    if tensor.is_meta:
        return f"has no values ({name!r} is on the meta device); load the checkpoint in model()"
    if tensor.is_quantized:
        return f"holds {name!r} as {str(tensor.dtype).removeprefix('torch.')}; return the float model"
    wrapped: bool = is_traceable_wrapper_subclass(tensor)
    return f"holds {name!r} as a {type(tensor).__name__}; return the model with plain tensors" if wrapped else None


def take_to_float32(model: nn.Module) -> list[str]:
    """Convert all floating-point tensors to float32 and move all tensors to the CPU, in place; return notes on changes.

    Integers and booleans keep their type. Tensors in plain attributes, and in lists and dicts there, are included.
    """
    found = [tensor for module in model.modules() for _, tensor in held_tensors(module)]
    kinds = Counter(str(t.dtype) for t in found if t.is_floating_point() and t.dtype is not torch.float32)
    places = Counter(str(tensor.device) for tensor in found if tensor.device.type != "cpu")
    model.float().cpu()
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, (Tensor, list, tuple, dict)) and name not in ("_parameters", "_buffers", "_modules"):
                with contextlib.suppress(OutputError):  # a type that cannot be made again stays as it is
                    vars(module)[name] = map_tensors(to_float32, value)
    total = len(found)
    notes = [
        f"{'the model is' if count == total else f'{count} of the {total} tensors of the model are'} "
        f"{kind.removeprefix('torch.')}: converted to float32"
        for kind, count in kinds.items()
    ]
    if places:
        notes.append(f"the model is on {', '.join(places)}: moved to the CPU")
    return notes


def held_alike(model: nn.Module) -> list[list[TensorSlot]]:
    """Find groups of two and more tensors that are the same memory, shape and type: tied tensors."""
    groups: dict[Any, list[TensorSlot]] = {}
    for module in model.modules():
        for name, tensor in held_tensors(module):
            if tensor.numel():
                place = (tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
                groups.setdefault((*_storage(tensor), place), []).append((module, name))
    return [group for group in groups.values() if len(group) > 1]


def same_memory(groups: list[list[TensorSlot]]) -> None:
    """Replace the parameters of each group that are equal by one shared parameter."""
    for group in groups:
        held = [(module, name) for module, name in group if own_parameters(module).get(name) is not None]
        for (first, its_name), (module, name) in itertools.pairwise(held):
            one, other = own_parameters(first)[its_name], own_parameters(module)[name]
            assert one is not None
            assert other is not None
            if one is not other and one.shape == other.shape and torch.equal(one, other):
                own_parameters(module)[name] = one


def untangle(model: nn.Module) -> None:
    """Copy parameters that share memory with others, so that writing to one changes no other tensor."""
    taken: dict[Any, Tensor] = {}
    trainable: dict[int, nn.Parameter] = {}
    held = [
        (module, name, p) for module in model.modules() for name, p in own_parameters(module).items() if p is not None
    ]
    for module, name, parameter in held:
        if parameter.is_inference():
            made = trainable.setdefault(id(parameter), nn.Parameter(parameter.clone(), requires_grad=False))
            own_parameters(module)[name] = taken[_storage(made)] = made
            continue
        owner = taken.setdefault(_storage(parameter), parameter)
        if owner is not parameter or _overlaps_itself(parameter):
            parameter.data = parameter.data.clone(memory_format=torch.contiguous_format)
            taken[_storage(parameter)] = parameter
    for module in model.modules():
        for name, tensor in held_tensors(module):
            if not isinstance(tensor, nn.Parameter) and tensor.numel() and _storage(tensor) in taken:
                (buffer_slots(module) if name in buffer_slots(module) else vars(module))[name] = tensor.clone()


def _storage(tensor: Tensor) -> tuple[Any, ...]:
    """Equal for tensors that share memory; those that are not strided share none."""
    if tensor.layout is not torch.strided or not tensor.numel():
        return (id(tensor),)
    return (str(tensor.device), tensor.untyped_storage().data_ptr())


def _overlaps_itself(tensor: Tensor) -> bool:
    return tensor.layout is torch.strided and any(
        size > 1 and stride == 0 for size, stride in zip(tensor.shape, tensor.stride(), strict=True)
    )


def to_float32(value: Tensor) -> Tensor:
    """Return a tensor on the CPU, floats as float32, that can be trained; the same object if it already is."""
    value = value.clone() if value.is_inference() else value
    value = value.detach() if value.grad_fn is not None else value
    if not value.is_floating_point():
        return value if value.device.type == "cpu" else value.cpu()
    return value if value.device.type == "cpu" and value.dtype is torch.float32 else value.float().cpu()
