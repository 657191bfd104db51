"""Keys of calls of torch functions: equal where the function, its constants and the numbers of its tensors are equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["SET_DATA", "CallKey", "call_key", "function_name", "is_metadata", "is_update"]

CallKey = tuple[Any, ...]
"""Name of a function, then its arguments: a tensor is its number, a constant ``(type, value)``."""

_CONSTANTS = (
    bool,
    int,
    float,
    complex,
    str,
    type(None),
    type(...),
    torch.dtype,
    torch.device,
    torch.layout,
    torch.memory_format,
)
_READS = (
    "size",
    "dim",
    "ndimension",
    "numel",
    "nelement",
    "__len__",
    "is_floating_point",
    "is_complex",
    "element_size",
)
_PROPERTIES = ("shape", "dtype", "device", "ndim", "layout", "requires_grad", "is_cuda", "is_meta", "is_sparse")
_METADATA = frozenset(
    [getattr(Tensor, name) for name in _READS] + [getattr(Tensor, name).__get__ for name in _PROPERTIES]
)
#: What a statement ``tensor.data = value`` calls.
SET_DATA: Callable[..., Any] = Tensor.data.__set__  # type: ignore[attr-defined]

_UPDATES = frozenset(
    getattr(Tensor, f"{name}_")
    for name in ("add", "sub", "mul", "div", "true_divide", "floor_divide", "pow", "neg", "exp", "clamp", "masked_fill")
)
_names: dict[Callable[..., Any], str] = {}


class _Unknown(Exception):
    """A tensor without a number, or a constant that cannot be compared."""


def is_metadata(func: Callable[..., Any]) -> bool:
    """Return whether a function reads a tensor's shape, type or place, which an empty tensor of the shape has, too."""
    return func in _METADATA


def is_update(func: Callable[..., Any]) -> bool:
    """Return whether a function writes its first argument and returns it: ``x += y``, ``x.clamp_(0)``."""
    return func in _UPDATES


def function_name(func: Callable[..., Any]) -> str:
    """Return a name that two functions share only if they are the same: ``_VariableFunctionsClass.conv2d``, ``T.__get__``."""
    name = _names.get(func)
    if name is None:
        name = _names[func] = _spell(func)
    return name


def call_key(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], numbers: Mapping[int, int]
) -> CallKey | None:
    """Return the key of a call; None where a tensor has no number, or a constant cannot be compared.

    Args:
        func: a torch function, as ``TorchFunctionMode`` sees it.
        args: its positional arguments; lists, tuples and slices may nest.
        kwargs: its other arguments.
        numbers: of tensors, by ``id``.
    """
    for value in args:  # the usual case at little cost: the first argument depends on the inputs
        if isinstance(value, Tensor) and id(value) not in numbers:
            return None
    try:
        named = tuple((name, _frozen(value, numbers)) for name, value in kwargs.items()) if kwargs else ()
        return (function_name(func), tuple(_frozen(value, numbers) for value in args), named)
    except _Unknown:
        return None


def _spell(func: Callable[..., Any]) -> str:
    owner = getattr(func, "__self__", None)
    if getattr(func, "__name__", "") in ("__get__", "__set__"):  # of a property of tensors
        return f"{getattr(owner, '__name__', owner)}.{func.__name__}"
    words = (getattr(func, "__module__", None), getattr(func, "__qualname__", None) or str(func))
    return ".".join(str(word) for word in words if word)


def _frozen(value: Any, numbers: Mapping[int, int]) -> Any:
    if isinstance(value, Tensor):
        number = numbers.get(id(value))
        if number is None:
            raise _Unknown
        return number
    if isinstance(value, _CONSTANTS):
        return type(value), value
    if isinstance(value, (list, tuple)):
        return type(value), tuple(_frozen(item, numbers) for item in value)
    if isinstance(value, slice):
        return slice, tuple(_frozen(item, numbers) for item in (value.start, value.stop, value.step))
    raise _Unknown
