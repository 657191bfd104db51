"""Functions of programs by name: those of torch, and what TorchScript does with numbers, lists, dicts and strings."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from palettune.evaluators.torch_programs.fused_attention import FUSED
from palettune.space.errors import UserError

__all__ = ["DTYPES", "TorchProgramError", "is_known", "operator_of"]

#: torch's types in the order of their numbers in TorchScript.
DTYPES = (
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.float32,
    torch.float64,
    torch.complex32,
    torch.complex64,
    torch.complex128,
    torch.bool,
    torch.qint8,
    torch.quint8,
    torch.qint32,
    torch.bfloat16,
)


class TorchProgramError(UserError):
    """A program of torch that cannot be run as a module; the message names the op and what to do."""


@cache
def operator_of(name: str) -> Callable[..., Any]:
    """Return a function: ``aten::add.Tensor`` of torch, ``prim::min`` of TorchScript, ``python::getitem`` of Python.

    Raises:
        TorchProgramError: there is none of this name.
    """
    space, _, rest = name.partition("::")
    base, _, overload = rest.partition(".")
    if space == "python":
        return getattr(operator, rest)  # type: ignore[no-any-return]
    if space in ("math", "torch"):
        return getattr(math if space == "math" else torch, rest)  # type: ignore[no-any-return]
    if f"{space}::{base}" in _OF_ANYTHING:
        return _OF_ANYTHING[f"{space}::{base}"]
    numbers = _OF_NUMBERS.get(f"{space}::{base}")
    try:
        packet = getattr(getattr(torch.ops, space), base)
        tensors = getattr(packet, overload or "default", packet)
    except (AttributeError, RuntimeError):
        if numbers is None:
            raise TorchProgramError(
                f"op {name!r} is not known to run outside of TorchScript; return the torch.nn.Module that the program "
                "was made from"
            ) from None
        return numbers
    return tensors if numbers is None else partial(_either, numbers, tensors)


def is_known(name: str) -> bool:
    """Return whether there is a function of a name."""
    try:
        operator_of(name)
    except TorchProgramError:
        return False
    return True


def _either(numbers: Callable[..., Any], tensors: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if any(isinstance(arg, Tensor) for arg in args[:2]):
        return tensors(*args, **kwargs)
    return numbers(*args, **kwargs)


def _number(value: Any) -> Any:
    return DTYPES.index(value) if isinstance(value, torch.dtype) else value


def _sum(one: Any, other: Any, alpha: Any = 1) -> Any:
    return one + (other if alpha == 1 else other * alpha)


def _difference(one: Any, other: Any, alpha: Any = 1) -> Any:
    return one - other * alpha


def _quotient(one: Any, other: Any, rounding_mode: str | None = None) -> Any:
    quotient = one / other
    if rounding_mode is None:
        return quotient
    return one // other if rounding_mode == "floor" else math.trunc(quotient)


def _size(tensor: Tensor, dim: int | None = None) -> Any:
    return list(tensor.shape) if dim is None else tensor.shape[dim]


def _item(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) else value


def _cast(kind: type) -> Callable[[Any], Any]:
    def cast(value: Any) -> Any:
        value = _item(value)
        return value if isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool)) else kind(value)

    return cast


def _to(value: Any, *args: Any, **kwargs: Any) -> Any:
    """A number to a type, as a trace has it where it computes with sizes."""
    dtypes = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, torch.dtype)]
    return float(value) if dtypes and dtypes[0].is_floating_point else value


def _tensor(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    return torch.tensor(data, dtype=dtype, device=device)


def _set_item(held: Any, key: Any, value: Any) -> Any:
    held[key] = value
    return held


def _slice(held: Any, start: int | None = None, stop: int | None = None, step: int | None = 1) -> Any:
    return held[start:stop:step]


def _append(held: list[Any], item: Any) -> list[Any]:
    held.append(item)
    return held


def _raise(message: str, *_: Any) -> None:
    raise RuntimeError(message)


def _least(*values: Any) -> Any:
    return min(values[0]) if len(values) == 1 else min(values)


def _greatest(*values: Any) -> Any:
    return max(values[0]) if len(values) == 1 else max(values)


def _same(value: Any, *_: Any, **__: Any) -> Any:
    return value


def _any_of(held: Any) -> bool:
    return any(held)


#: Functions that are the same for all arguments.
_OF_ANYTHING: dict[str, Callable[..., Any]] = {
    **FUSED,
    "aten::size": _size,
    "aten::dim": lambda tensor: tensor.dim(),
    "aten::numel": lambda tensor: tensor.numel(),
    "aten::stride": lambda tensor, dim=None: list(tensor.stride()) if dim is None else tensor.stride(dim),
    "aten::is_floating_point": lambda tensor: tensor.is_floating_point(),
    "aten::is_complex": lambda tensor: tensor.is_complex(),
    "aten::len": len,
    "aten::__getitem__": operator.getitem,
    "aten::_set_item": _set_item,
    "aten::__contains__": operator.contains,
    "aten::__is__": operator.is_,
    "aten::__isnot__": operator.is_not,
    "aten::__not__": operator.not_,
    "aten::append": _append,
    "aten::extend": lambda held, items: held.extend(items),
    "aten::insert": lambda held, index, item: held.insert(index, item),
    "aten::pop": lambda held, *key: held.pop(*key),
    "aten::list": list,
    "aten::keys": list,
    "aten::values": lambda held: list(held.values()),
    "aten::items": lambda held: list(held.items()),
    "aten::get": lambda held, key, default=None: held.get(key, default),
    "aten::format": lambda text, *values: text.format(*values),
    "aten::percentFormat": lambda text, *values: text % values,
    "aten::join": lambda text, values: text.join(values),
    "aten::str": str,
    "aten::warn": lambda *_, **__: None,
    "aten::Int": _cast(int),
    "aten::IntImplicit": _cast(int),
    "aten::Float": _cast(float),
    "aten::FloatImplicit": _cast(float),
    "aten::Bool": _cast(bool),
    "aten::ScalarImplicit": _item,
    "aten::item": _item,
    "aten::tensor": _tensor,
    "aten::as_tensor": _tensor,
    "aten::is_scripting": lambda: False,
    "aten::is_autocast_enabled": lambda *_: False,
    "prim::NumToTensor": _same,
    "prim::unchecked_cast": _same,
    "prim::unchecked_unwrap_optional": _same,
    "aten::_unwrap_optional": _same,
    "prim::data": lambda tensor: tensor.detach(),
    "prim::dtype": lambda tensor: tensor.dtype,
    "prim::device": lambda tensor: tensor.device,
    "prim::layout": lambda tensor: tensor.layout,
    "prim::type": lambda device: device.type,
    "prim::is_cuda": lambda tensor: tensor.is_cuda,
    "prim::is_quantized": lambda tensor: tensor.is_quantized,
    "prim::is_sparse": lambda tensor: tensor.is_sparse,
    "prim::requires_grad": lambda tensor: tensor.requires_grad,
    "prim::RaiseException": _raise,
    "prim::Print": lambda *_: None,
    "prim::Uninitialized": lambda: None,
    "prim::min": _least,
    "prim::max": _greatest,
    "prim::abs": abs,
    "prim::list": lambda items: list(items),
    "prim::dict": dict,
    "prim::single": lambda item: [item],
}

#: Functions of numbers, lists and strings; torch has others of the same names for tensors.
_OF_NUMBERS: dict[str, Callable[..., Any]] = {
    "aten::add": _sum,
    "aten::add_": lambda one, other: one.__iadd__(other) if isinstance(one, list) else one + other,
    "aten::sub": _difference,
    "aten::rsub": lambda one, other, alpha=1: other - one * alpha,
    "aten::mul": operator.mul,
    "aten::div": _quotient,
    "aten::true_divide": operator.truediv,
    "aten::floordiv": operator.floordiv,
    "aten::floor_divide": operator.floordiv,
    "aten::remainder": operator.mod,
    "aten::neg": operator.neg,
    "aten::pow": operator.pow,
    "aten::eq": lambda one, other: _number(one) == _number(other),
    "aten::ne": lambda one, other: _number(one) != _number(other),
    "aten::lt": operator.lt,
    "aten::le": operator.le,
    "aten::gt": operator.gt,
    "aten::ge": operator.ge,
    "aten::__and__": operator.and_,
    "aten::__or__": operator.or_,
    "aten::__xor__": operator.xor,
    "aten::__lshift__": operator.lshift,
    "aten::__rshift__": operator.rshift,
    "aten::floor": math.floor,
    "aten::ceil": math.ceil,
    "aten::round": round,
    "aten::sqrt": math.sqrt,
    "aten::exp": math.exp,
    "aten::log": math.log,
    "aten::abs": abs,
    "aten::slice": _slice,
    "aten::copy": lambda held: held.copy(),
    "aten::clear": lambda held: held.clear(),
    "aten::reverse": lambda held: held.reverse(),
    "aten::index": lambda held, item: held.index(item),
    "aten::any": _any_of,
    "aten::all": lambda held: all(held),
    "aten::sum": lambda held: sum(held),
    "aten::detach": _same,
    "aten::clone": _same,
    "aten::to": _to,
}
