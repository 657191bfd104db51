"""Recurrent state: buffers and attributes that a forward pass changes, and how to restore them.

Key-value caches, hidden states and counters live in a module, so that its output for one input depends on earlier inputs.
State is identified by module and attribute names, so that a state taken from one module can be restored in any copy.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from palettune.device_bench.library_internals import buffer_slots, post_hooks, pre_hooks
from palettune.device_bench.model.held_value import ABSENT, HeldTensor, HeldValue, Holder

__all__ = ["NO_STATE", "Place", "RecurrentState", "snapshot"]

_OWN = frozenset(vars(nn.Module()))
"""Attributes that every module has."""


@dataclass(frozen=True, order=True)
class Place:
    """Place of state: a buffer or an attribute, with the name of its module."""

    module: str
    attribute: str

    def __str__(self) -> str:
        return f"{self.module}.{self.attribute}" if self.module else self.attribute

    def get(self, root: nn.Module) -> Any:
        """Return the value at this place; ``ABSENT`` without one."""
        owner = self.owner(root)
        if owner is None:
            return ABSENT
        if self.attribute in buffer_slots(owner):
            return buffer_slots(owner)[self.attribute]
        return vars(owner).get(self.attribute, ABSENT)

    def put(self, root: nn.Module, value: Any) -> None:
        """Set the value at this place, as a buffer where one is registered."""
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
        """Return whether the place is a registered buffer."""
        owner = self.owner(root)
        return owner is not None and self.attribute in buffer_slots(owner)

    def owner(self, root: nn.Module) -> nn.Module | None:
        """Return the module that holds the place; ``None`` where a copy lacks it."""
        try:
            return root.get_submodule(self.module)
        except AttributeError:
            return None
        except RuntimeError:  # scripted modules are found by name alone
            return dict(root.named_modules()).get(self.module)


@dataclass(frozen=True)
class RecurrentState:
    """Values of some places of a module at one time.

    Attributes:
        values: by place.
        read: the places that outputs depend on; others are written and never read, such as attention maps kept for inspection.
        hooks: names of the modules with the hooks that they have.
    """

    values: Mapping[Place, HeldValue] = field(default_factory=dict)
    read: frozenset[Place] = frozenset()
    hooks: frozenset[tuple[str, int]] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.values)

    @property
    def recurrent(self) -> bool:
        """Whether a module's output for one input depends on earlier inputs."""
        return bool(self.read)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the places that outputs depend on, in order."""
        return tuple(str(place) for place in self.values if place in self.read)

    def restore(self, module: nn.Module) -> None:
        """Restore the values in the module they were taken from, or in a copy of it."""
        memo: dict[int, Any] = {}
        for place, held in self.values.items():
            current = place.get(module)
            value = held.restored(current, memo)
            if value is not current:
                place.put(module, value)

    @contextlib.contextmanager
    def around(self, module: nn.Module) -> Iterator[None]:
        """Start from these values, and restore them at the end."""
        self.restore(module)
        try:
            yield
        finally:
            self.restore(module)

    def now(self, module: nn.Module) -> RecurrentState:
        """Return the current values of the same places."""
        holder = Holder()
        return replace(self, values={place: holder.hold(place.get(module)) for place in self.values})

    def changed(self, module: nn.Module) -> dict[Place, HeldValue]:
        """Return the places whose values changed or appeared since, with their earlier values.

        Where a forward pass has installed hooks, which stay, an attribute that appeared and is true says so, and stays, too.
        """
        found = {place: held for place, held in self.values.items() if not held.same(place.get(module))}
        gone = Holder().hold(ABSENT)
        appeared = [place for place in _places(module) if place not in self.values]
        if not _hooks(module) <= self.hooks:
            appeared = [place for place in appeared if place.get(module) is not True]
        return found | dict.fromkeys(appeared, gone)

    def only(self, places: Collection[Place]) -> RecurrentState:
        """Return the state of these places alone."""
        return replace(self, values={place: held for place, held in self.values.items() if place in places})

    def tensor(self, place: Place) -> HeldTensor | None:
        """Return the snapshot of a place where it is a tensor; None otherwise."""
        held = self.values[place]
        return held if isinstance(held, HeldTensor) else None


NO_STATE = RecurrentState()


def snapshot(module: nn.Module) -> RecurrentState:
    """Return the values of everything in a module that a forward pass may change, except its parameters."""
    holder = Holder()
    values = {place: holder.hold(place.get(module)) for place in _places(module)}
    return RecurrentState(values, hooks=_hooks(module))


def _hooks(module: nn.Module) -> frozenset[tuple[str, int]]:
    return frozenset(
        (name, key) for name, part in module.named_modules() for key in (*pre_hooks(part), *post_hooks(part))
    )


def _places(module: nn.Module) -> Iterable[Place]:
    for name, part in module.named_modules():
        scripted = isinstance(part, torch.jit.ScriptModule)  # whose attributes lie where Python does not see them
        attributes = [] if scripted else [key for key in vars(part) if key not in _OWN]
        for attribute in (*buffer_slots(part).keys(), *attributes):
            yield Place(name, attribute)
