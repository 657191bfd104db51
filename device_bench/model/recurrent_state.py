"""Recurrent state: the buffers and attributes that a forward pass changes, and how they are put back.

Key-value caches, hidden states and counters live in a module: what it gives for one input depends on those before it.
State is known by the names of its places, so that what was seen in one module is restored in any copy of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from palettune.device_bench.library_internals import buffer_slots
from palettune.device_bench.model.held_value import ABSENT, HeldTensor, HeldValue, Holder

__all__ = ["NO_STATE", "Place", "RecurrentState", "snapshot"]

_OWN = frozenset(vars(nn.Module()))
"""Attributes that every module has."""


@dataclass(frozen=True, order=True)
class Place:
    """A buffer or an attribute of a module, by the module's name."""

    module: str
    attribute: str

    def __str__(self) -> str:
        return f"{self.module}.{self.attribute}" if self.module else self.attribute

    def get(self, root: nn.Module) -> Any:
        """What is there; ``ABSENT`` if nothing is."""
        owner = self.owner(root)
        if owner is None:
            return ABSENT
        if self.attribute in buffer_slots(owner):
            return buffer_slots(owner)[self.attribute]
        return vars(owner).get(self.attribute, ABSENT)

    def put(self, root: nn.Module, value: Any) -> None:
        """Put a value there, a buffer where there is a buffer."""
        owner = self.owner(root)
        if owner is None:
            return
        if isinstance(owner, torch.jit.ScriptModule):
            setattr(owner, self.attribute, value)
        elif value is ABSENT:
            buffer_slots(owner).pop(self.attribute, None)
            vars(owner).pop(self.attribute, None)
        elif self.attribute in buffer_slots(owner):
            buffer_slots(owner)[self.attribute] = value
        else:
            vars(owner)[self.attribute] = value

    def is_buffer(self, root: nn.Module) -> bool:
        """Whether it is a registered buffer."""
        owner = self.owner(root)
        return owner is not None and self.attribute in buffer_slots(owner)

    def owner(self, root: nn.Module) -> nn.Module | None:
        """The module; ``None`` where a copy lacks it."""
        try:
            return root.get_submodule(self.module)
        except AttributeError:
            return None
        except RuntimeError:  # scripted modules are found by name alone
            return dict(root.named_modules()).get(self.module)


@dataclass(frozen=True)
class RecurrentState:
    """What some places of a module held at one time.

    Attributes:
        values: by place.
        read: the places that outputs depend on; others are written and never read, as maps kept to be looked at are.
    """

    values: Mapping[Place, HeldValue] = field(default_factory=dict)
    read: frozenset[Place] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.values)

    @property
    def recurrent(self) -> bool:
        """Whether what a module gives for one input depends on the inputs before it."""
        return bool(self.read)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The places that outputs depend on, as a person calls them, in order."""
        return tuple(str(place) for place in self.values if place in self.read)

    def restore(self, module: nn.Module) -> None:
        """Put the values back into the module that they were seen in, or into a copy of it."""
        memo: dict[int, Any] = {}
        for place, held in self.values.items():
            current = place.get(module)
            value = held.restored(current, memo)
            if value is not current:
                place.put(module, value)

    @contextlib.contextmanager
    def around(self, module: nn.Module) -> Iterator[None]:
        """Begin from these values, and leave them behind."""
        self.restore(module)
        try:
            yield
        finally:
            self.restore(module)

    def now(self, module: nn.Module) -> RecurrentState:
        """What the same places hold at this time."""
        holder = Holder()
        return replace(self, values={place: holder.hold(place.get(module)) for place in self.values})

    def changed(self, module: nn.Module) -> dict[Place, HeldValue]:
        """The places that hold something else by now, those that appeared since included; with what they held."""
        found = {place: held for place, held in self.values.items() if not held.same(place.get(module))}
        gone = Holder().hold(ABSENT)
        return found | {place: gone for place in _places(module) if place not in self.values}

    def only(self, places: Collection[Place]) -> RecurrentState:
        """Some of it."""
        return replace(self, values={place: held for place, held in self.values.items() if place in places})

    def tensor(self, place: Place) -> HeldTensor | None:
        """What a place held, where that was a tensor."""
        held = self.values[place]
        return held if isinstance(held, HeldTensor) else None


NO_STATE = RecurrentState()


def snapshot(module: nn.Module) -> RecurrentState:
    """Everything in a module that a forward pass may change, but its parameters."""
    holder = Holder()
    return RecurrentState({place: holder.hold(place.get(module)) for place in _places(module)})


def _places(module: nn.Module) -> Iterable[Place]:
    for name, part in module.named_modules():
        scripted = isinstance(part, torch.jit.ScriptModule)  # whose attributes lie where Python does not see them
        attributes = [] if scripted else [key for key in vars(part) if key not in _OWN]
        for attribute in (*buffer_slots(part).keys(), *attributes):
            yield Place(name, attribute)
