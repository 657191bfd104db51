"""Snapshots of values: compare later, and restore in the same module or in a copy."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["ABSENT", "HeldTensor", "HeldValue", "Holder"]

_PLAIN = (int, float, complex, str, bytes, type(None), enum.Enum, torch.dtype, torch.device, torch.Size, range, slice)
_CLOSED = (type, FunctionType, MethodType, ModuleType, nn.Module, nn.Parameter, torch.Generator)
_SEQUENCES = (list, tuple, set, frozenset, deque)
_DEPTH = 4
_MOST = 4096
ABSENT = object()
"""Stands for an attribute that there is not."""

Memo = dict[int, Any]


class HeldValue(ABC):
    """Snapshot of a value."""

    @property
    def restorable(self) -> bool:
        """Whether ``restored`` can give the value back in any copy of its owner."""
        return True

    @abstractmethod
    def same(self, current: Any) -> bool:
        """Return whether a value equals the snapshot."""

    @abstractmethod
    def restored(self, current: Any, memo: Memo) -> Any:
        """Return the snapshot's value, in the memory of the current one where possible; assign the result.

        Args:
            memo: what was restored already, so that one tensor in two places stays one.
        """


@dataclass(frozen=True, eq=False)
class HeldTensor(HeldValue):
    """Snapshot of a tensor."""

    value: Tensor

    def same(self, current: Any) -> bool:
        """Return whether shape, type and values are equal; a NaN equals a NaN."""
        kept = self.value
        if not isinstance(current, Tensor) or current.shape != kept.shape or current.dtype != kept.dtype:
            return False
        return torch.equal(current, kept) or bool(torch.isclose(current, kept, 0, 0, equal_nan=True).all())

    def restored(self, current: Any, memo: Memo) -> Tensor:
        """Return the current tensor with the old values and no gradient; a copy where its shape or type differs."""
        if id(self) not in memo:
            memo[id(self)] = self._restored(current)
        found: Tensor = memo[id(self)]
        return found

    def _restored(self, current: Any) -> Tensor:
        with torch.inference_mode(False), torch.no_grad():
            fits = isinstance(current, Tensor) and not isinstance(current, nn.Parameter) and not current.is_inference()
            if not fits or current.shape != self.value.shape or current.dtype != self.value.dtype:
                return self.value.clone()
            memory: Tensor = current.detach() if current.requires_grad else current
            return memory.copy_(self.value)


@dataclass(frozen=True, eq=False)
class _HeldPlain(HeldValue):
    value: Any

    def same(self, current: Any) -> bool:
        return type(current) is type(self.value) and (current == self.value or current is self.value)

    def restored(self, current: Any, memo: Memo) -> Any:
        return self.value


@dataclass(frozen=True, eq=False)
class _HeldArray(HeldValue):
    value: NDArray[Any]

    def same(self, current: Any) -> bool:
        return isinstance(current, np.ndarray) and current.dtype == self.value.dtype and _equal(current, self.value)

    def restored(self, current: Any, memo: Memo) -> Any:
        return self.value.copy()


def _equal(first: NDArray[Any], second: NDArray[Any]) -> bool:
    return np.array_equal(first, second, equal_nan=first.dtype.kind in "fc")


@dataclass(frozen=True, eq=False)
class _HeldSequence(HeldValue):
    """A list, tuple, deque or set; members of sets are plain."""

    kind: Any
    members: tuple[HeldValue, ...]
    build: Callable[[list[Any]], Any]

    @property
    def restorable(self) -> bool:
        return all(member.restorable for member in self.members)

    def same(self, current: Any) -> bool:
        if type(current) is not self.kind or len(current) != len(self.members):
            return False
        if isinstance(current, (set, frozenset)):
            return bool(current == self.build([member.restored(None, {}) for member in self.members]))
        return all(held.same(value) for held, value in zip(self.members, current, strict=True))

    def restored(self, current: Any, memo: Memo) -> Any:
        ordered = type(current) is self.kind and not isinstance(current, (set, frozenset))
        there = list(current) if ordered else []
        there += [None] * (len(self.members) - len(there))
        return self.build([held.restored(v, memo) for held, v in zip(self.members, there, strict=False)])


@dataclass(frozen=True, eq=False)
class _HeldMapping(HeldValue):
    kind: Any
    members: Mapping[Any, HeldValue]

    @property
    def restorable(self) -> bool:
        return all(member.restorable for member in self.members.values())

    def same(self, current: Any) -> bool:
        if type(current) is not self.kind or list(current) != list(self.members):
            return False
        return all(held.same(current[key]) for key, held in self.members.items())

    def restored(self, current: Any, memo: Memo) -> Any:
        there = current if type(current) is self.kind else {}
        values = {key: held.restored(there.get(key), memo) for key, held in self.members.items()}
        if type(current) is not self.kind:
            return values if self.kind is dict else self.kind(values)
        current.clear()
        current.update(values)
        return current


@dataclass(frozen=True, eq=False)
class _HeldObject(HeldValue):
    """An object by its attributes, such as a cache of somebody's own class."""

    kind: Any
    members: Mapping[str, HeldValue]

    @property
    def restorable(self) -> bool:
        return all(member.restorable for member in self.members.values())

    def same(self, current: Any) -> bool:
        if type(current) is not self.kind or list(vars(current)) != list(self.members):
            return False
        return all(held.same(vars(current)[key]) for key, held in self.members.items())

    def restored(self, current: Any, memo: Memo) -> Any:
        found = current if type(current) is self.kind else self.kind.__new__(self.kind)
        there = dict(vars(found))
        vars(found).clear()
        vars(found).update({key: held.restored(there.get(key), memo) for key, held in self.members.items()})
        return found


@dataclass(frozen=True, eq=False)
class _HeldOther(HeldValue):
    """Something that is not looked into: only whether another one took its place is seen."""

    value: Any

    @property
    def restorable(self) -> bool:
        return False

    def same(self, current: Any) -> bool:
        return current is self.value

    def restored(self, current: Any, memo: Memo) -> Any:
        return current  # it was the same when it was compared, and a copy of the owner has one of its own


class Holder:
    """Takes snapshots; a tensor met twice is copied once."""

    def __init__(self) -> None:
        self._tensors: dict[int, tuple[Tensor, HeldTensor]] = {}

    def hold(self, value: Any, depth: int = 0) -> HeldValue:
        """Take a snapshot of a value: tensors, arrays, numbers, containers and objects of these."""
        if value is ABSENT or isinstance(value, _PLAIN):
            return _HeldPlain(value)
        if isinstance(value, _CLOSED) or depth > _DEPTH:
            return _HeldOther(value)
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, np.ndarray):
            return _HeldArray(value.copy()) if value.dtype.kind in "biufc" else _HeldOther(value)
        if isinstance(value, (*_SEQUENCES, dict)) and len(value) <= _MOST:
            return self._container(value, depth)
        return self._object(value, depth)

    def _tensor(self, value: Tensor) -> HeldValue:
        if value.layout != torch.strided or value.is_quantized or value.device.type == "meta":
            return _HeldOther(value)
        if id(value) not in self._tensors:
            with torch.inference_mode(False), torch.no_grad():
                # the tensor itself is kept too, so that its id stays its own
                self._tensors[id(value)] = value, HeldTensor(value.detach().clone())
        return self._tensors[id(value)][1]

    def _container(self, value: Any, depth: int) -> HeldValue:
        kind = type(value)
        if isinstance(value, dict):
            if kind.__init__ is not dict.__init__ and kind.__module__ != "collections":
                return _HeldOther(value)
            return _HeldMapping(kind, {key: self.hold(member, depth + 1) for key, member in value.items()})
        if isinstance(value, (set, frozenset)) and not all(isinstance(member, _PLAIN) for member in value):
            return _HeldOther(value)
        build = _builder(value)
        return _HeldSequence(kind, tuple(self.hold(member, depth + 1) for member in value), build)

    def _object(self, value: Any, depth: int) -> HeldValue:
        attributes = getattr(value, "__dict__", None)
        closed = hasattr(type(value), "__deepcopy__") or isinstance(value, (*_SEQUENCES, dict))
        if closed or not isinstance(attributes, dict) or len(attributes) > _MOST:
            return _HeldOther(value)
        return _HeldObject(type(value), {key: self.hold(member, depth + 1) for key, member in attributes.items()})


def _builder(value: Any) -> Callable[[list[Any]], Any]:
    kind = type(value)
    if isinstance(value, deque):
        longest = value.maxlen
        return lambda members: deque(members, longest)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return lambda members: kind(*members)
    return kind
