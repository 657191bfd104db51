"""Programs: a forward pass as a list of steps, which holds names and constants only, so that it copies and pickles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from palettune.device_bench.library_internals import buffer_slots
from palettune.evaluators.library_internals import own_parameters
from palettune.evaluators.torch_programs.operators import operator_of

__all__ = ["Block", "Branch", "CallStep", "Held", "Loop", "Nested", "Read", "Step", "Unpack", "ValueSlot", "Write"]

Values = dict[int, Any]


@dataclass(frozen=True)
class ValueSlot:
    """A value that an earlier step has made."""

    number: int


@dataclass(frozen=True)
class Held:
    """Place of what a module holds: its dotted name, and that of the parameter, buffer or attribute."""

    module: str
    name: str

    def get(self, root: nn.Module) -> Any:
        """Return the value."""
        owner = root.get_submodule(self.module)
        for held in (own_parameters(owner), buffer_slots(owner)):
            if self.name in held:
                return held[self.name]
        value = vars(owner)[self.name]
        return [one.get(root) for one in value] if _is_places(value) else value

    def set(self, root: nn.Module, value: Any) -> None:
        """Set the value."""
        owner = root.get_submodule(self.module)
        held = buffer_slots(owner) if self.name in buffer_slots(owner) else vars(owner)
        held[self.name] = value


def _is_places(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(one, Held) for one in value)


@dataclass(frozen=True)
class Step(ABC):
    """One step.

    Attributes:
        done: slots that nothing needs after it.
    """

    done: tuple[int, ...] = field(default=(), kw_only=True)

    @abstractmethod
    def run(self, values: Values, root: nn.Module) -> None:
        """Read slots and write others."""

    @abstractmethod
    def needed(self) -> Iterator[int]:
        """Iterate over the slots that it reads, those of blocks inside it included."""


@dataclass(frozen=True)
class Block:
    """Steps with inputs and results.

    Attributes:
        inputs: slots that get the inputs.
        results: what it returns; slots may nest in lists, tuples and dicts.
    """

    inputs: tuple[int, ...]
    steps: tuple[Step, ...]
    results: tuple[Any, ...]

    def run(self, values: Values, root: nn.Module, inputs: Sequence[Any] = ()) -> list[Any]:
        """Run all steps; return the results."""
        values.update(zip(self.inputs, inputs, strict=True))
        for step in self.steps:
            step.run(values, root)
            for number in step.done:
                values.pop(number, None)
        return [_filled(result, values) for result in self.results]

    def needed(self) -> Iterator[int]:
        """Iterate over the slots that steps and results read."""
        for step in self.steps:
            yield from step.needed()
        yield from _slots(self.results)

    def with_releases(self) -> Block:
        """Return the block with each slot given up after its last use, for the outermost block alone."""
        kept = set(_slots(self.results))
        steps: list[Step] = []
        for step in reversed(self.steps):
            last = dict.fromkeys(number for number in step.needed() if number not in kept)
            kept.update(last)
            steps.insert(0, replace(step, done=tuple(last)))
        return replace(self, steps=tuple(steps))


@dataclass(frozen=True)
class CallStep(Step):
    """Call of a function.

    Attributes:
        function: its name for ``operator_of``.
        args: slots and constants, in lists, tuples, dicts and slices.
        kwargs: the same by name.
        result: slot of what it returns; None where that is not needed.
    """

    function: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: int | None

    def run(self, values: Values, root: nn.Module) -> None:
        """Call it."""
        args = [values[arg.number] if type(arg) is ValueSlot else _filled(arg, values) for arg in self.args]
        kwargs = {name: _filled(arg, values) for name, arg in self.kwargs.items()} if self.kwargs else {}
        result = operator_of(self.function)(*args, **kwargs)
        if self.result is not None:
            values[self.result] = result

    def needed(self) -> Iterator[int]:
        """Iterate over the slots among the arguments."""
        yield from _slots((self.args, dict(self.kwargs)))


@dataclass(frozen=True)
class Read(Step):
    """Read of a parameter, buffer or attribute."""

    place: Held
    result: int

    def run(self, values: Values, root: nn.Module) -> None:
        """Read it."""
        values[self.result] = self.place.get(root)

    def needed(self) -> Iterator[int]:
        """Iterate over nothing: it reads a held tensor."""
        yield from ()


@dataclass(frozen=True)
class Write(Step):
    """Assignment to a buffer or an attribute."""

    place: Held
    value: Any

    def run(self, values: Values, root: nn.Module) -> None:
        """Assign it."""
        self.place.set(root, _filled(self.value, values))

    def needed(self) -> Iterator[int]:
        """Iterate over the slots of the value."""
        yield from _slots(self.value)


@dataclass(frozen=True)
class Unpack(Step):
    """Slots for the items of a list or tuple."""

    value: Any
    results: tuple[int, ...]

    def run(self, values: Values, root: nn.Module) -> None:
        """Unpack it."""
        values.update(zip(self.results, _filled(self.value, values), strict=True))

    def needed(self) -> Iterator[int]:
        """Iterate over the slots of the list."""
        yield from _slots(self.value)


@dataclass(frozen=True)
class Branch(Step):
    """One block or another."""

    condition: Any
    blocks: tuple[Block, Block]
    results: tuple[int, ...]

    def run(self, values: Values, root: nn.Module) -> None:
        """Run the block that the condition chooses."""
        chosen = self.blocks[0] if bool(_filled(self.condition, values)) else self.blocks[1]
        values.update(zip(self.results, chosen.run(values, root), strict=True))

    def needed(self) -> Iterator[int]:
        """Iterate over the slots that the condition and both blocks read."""
        yield from _slots(self.condition)
        for block in self.blocks:
            yield from block.needed()


@dataclass(frozen=True)
class Loop(Step):
    """A block, again and again: it gets the count and what it carries, and returns whether to go on and what it carries."""

    most: Any
    condition: Any
    carried: tuple[Any, ...]
    block: Block
    results: tuple[int, ...]

    def run(self, values: Values, root: nn.Module) -> None:
        """Run the block until its condition is false or the count is reached."""
        most, go_on = _filled(self.most, values), bool(_filled(self.condition, values))
        carried = [_filled(one, values) for one in self.carried]
        count = 0
        while go_on and count < most:
            again, *carried = self.block.run(values, root, [count, *carried])
            go_on, count = bool(again), count + 1
        values.update(zip(self.results, carried, strict=True))

    def needed(self) -> Iterator[int]:
        """Iterate over the slots that the loop and its block read."""
        yield from _slots((self.most, self.condition, self.carried))
        yield from self.block.needed()


@dataclass(frozen=True)
class Nested(Step):
    """A block that runs with slots of its own, with or without gradients."""

    gradients: bool
    block: Block
    inputs: tuple[Any, ...]
    result: int

    def run(self, values: Values, root: nn.Module) -> None:
        """Run the block; its results are one tuple."""
        with torch.set_grad_enabled(self.gradients and torch.is_grad_enabled()):
            values[self.result] = tuple(self.block.run({}, root, _filled(self.inputs, values)))

    def needed(self) -> Iterator[int]:
        """Iterate over the slots of the inputs."""
        yield from _slots(self.inputs)


def _filled(value: Any, values: Values) -> Any:
    """A value with slots replaced by what is in them."""
    if isinstance(value, ValueSlot):
        return values[value.number]
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(_filled(item, values) for item in value)
    if type(value) is dict:
        return {_filled(key, values): _filled(item, values) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(*(_filled(item, values) for item in (value.start, value.stop, value.step)))
    return value


def _slots(value: Any) -> Iterator[int]:
    if isinstance(value, ValueSlot):
        yield value.number
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _slots(item)
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _slots(pair)
    elif isinstance(value, slice):
        yield from _slots((value.start, value.stop, value.step))
