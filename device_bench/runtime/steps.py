"""Steps of an execution plan.

Values live in a list, the frame; a step reads and writes its places by number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from palettune.device_bench.runtime.errors import ExecutionError
from palettune.device_bench.runtime.values import round_to_half

__all__ = [
    "CondStep",
    "ExecutionContext",
    "Frame",
    "KernelStep",
    "LoopStep",
    "Observer",
    "OpCall",
    "Output",
    "PlanStep",
    "ReadStateStep",
    "WriteStateStep",
    "run_steps",
]

Frame = list[Any]
#: Called with the name of each value and the value, in the order of execution.
Observer = Callable[[str, Any], None]
#: Called in the place of a kernel, with the kernel, its tensors and its attributes.
OpCall = Callable[[Callable[..., Any], list[Any], Mapping[str, Any]], Any]
Argument = int | list[int] | None


@dataclass
class ExecutionContext:
    """Context of one execution: program states, the observer, and replacements for ops by their first output."""

    states: dict[str, Tensor] = field(default_factory=dict)
    observe: Observer | None = None
    calls: Mapping[str, OpCall] = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    """One value that a step makes.

    Attributes:
        name: of the variable in the program.
        place: in the frame.
        dtype: torch type that holds it; None for lists, strings and dictionaries.
        half: True when it is to be rounded to fp16.
    """

    name: str
    place: int
    dtype: torch.dtype | None
    half: bool

    def put(self, frame: Frame, value: Any) -> None:
        """Store a value, in its type and precision."""
        if self.dtype is not None and value.dtype is not self.dtype:
            value = value.to(self.dtype)
        frame[self.place] = round_to_half(value) if self.half else value


class PlanStep(Protocol):
    """One op of a plan.

    Attributes:
        location: the op in words, for errors.
        outputs: the values that it makes.
        frees: places whose values nobody reads afterwards.
    """

    location: str
    outputs: tuple[Output, ...]
    frees: tuple[int, ...]

    def execute(self, frame: Frame, run: ExecutionContext) -> None:
        """Read the inputs from the frame, and store the outputs in it."""


def run_steps(steps: Sequence[PlanStep], frame: Frame, run: ExecutionContext) -> None:
    """Execute steps in order.

    Raises:
        ExecutionError: a kernel failed; names the op.
    """
    for step in steps:
        try:
            step.execute(frame, run)
        except ExecutionError:
            raise
        except Exception as error:
            raise ExecutionError(f"{step.location}: {error}") from error
        if run.observe is not None:
            for output in step.outputs:
                run.observe(output.name, frame[output.place])
        for place in step.frees:
            frame[place] = None


@dataclass
class KernelStep:
    """A kernel with its constant attributes bound.

    Attributes:
        function: the kernel.
        arguments: places of the tensors, lists of places, or None where an input is absent.
        attributes: constant attributes.
        dynamic: attributes that are computed by the program, by place.
    """

    location: str
    outputs: tuple[Output, ...]
    frees: tuple[int, ...]
    function: Callable[..., Any]
    arguments: tuple[Argument, ...]
    attributes: Mapping[str, Any]
    dynamic: Mapping[str, Argument]

    def execute(self, frame: Frame, run: ExecutionContext) -> None:
        """Call the kernel on the values of the frame."""
        arguments = [frame[place] if type(place) is int else _many(frame, place) for place in self.arguments]
        attributes = self.attributes
        if self.dynamic:
            attributes = {**attributes, **{name: _python(frame, place) for name, place in self.dynamic.items()}}
        call = run.calls.get(self.outputs[0].name)
        if call is None:
            result = self.function(*arguments, **attributes)
        else:
            result = call(self.function, arguments, attributes)
        if len(self.outputs) == 1:
            self.outputs[0].put(frame, result[0] if type(result) is tuple else result)
        else:
            for output, value in zip(self.outputs, result, strict=True):
                output.put(frame, value)


def _many(frame: Frame, places: Argument) -> list[Any] | None:
    return None if places is None else [frame[place] for place in places]  # type: ignore[union-attr]


def _python(frame: Frame, place: Argument) -> Any:
    if isinstance(place, list):
        return [_python(frame, inner) for inner in place]
    value = frame[place] if place is not None else None
    return value.tolist() if isinstance(value, Tensor) else value


@dataclass
class CondStep:
    """Control flow: run one of two blocks by a boolean scalar. Meaning: coremltools ``ops/defs/iOS15/control_flow.py``."""

    location: str
    outputs: tuple[Output, ...]
    frees: tuple[int, ...]
    predicate: int
    branches: tuple[tuple[Sequence[PlanStep], tuple[int, ...]], tuple[Sequence[PlanStep], tuple[int, ...]]]

    def execute(self, frame: Frame, run: ExecutionContext) -> None:
        """Run the block that the predicate picks."""
        steps, results = self.branches[0 if bool(frame[self.predicate]) else 1]
        run_steps(steps, frame, run)
        for output, place in zip(self.outputs, results, strict=True):
            output.put(frame, frame[place])


@dataclass
class LoopStep:
    """Control flow: repeat a body while a condition holds. Meaning: coremltools ``ops/defs/iOS15/control_flow.py``.

    Attributes:
        start: places of the loop variables' first values.
        condition: steps, the places of its inputs and of its result.
        body: steps, the places of its inputs and of its results.
    """

    location: str
    outputs: tuple[Output, ...]
    frees: tuple[int, ...]
    start: tuple[int, ...]
    condition: tuple[Sequence[PlanStep], tuple[int, ...], tuple[int, ...]]
    body: tuple[Sequence[PlanStep], tuple[int, ...], tuple[int, ...]]

    def execute(self, frame: Frame, run: ExecutionContext) -> None:
        """Run the body until the condition fails."""
        values = [frame[place] for place in self.start]
        while bool(_block(self.condition, values, frame, run)[0]):
            values = _block(self.body, values, frame, run)
        for output, value in zip(self.outputs, values, strict=True):
            output.put(frame, value)


def _block(
    block: tuple[Sequence[PlanStep], tuple[int, ...], tuple[int, ...]],
    values: list[Any],
    frame: Frame,
    run: ExecutionContext,
) -> list[Any]:
    steps, inputs, results = block
    for place, value in zip(inputs, values, strict=True):
        frame[place] = value
    run_steps(steps, frame, run)
    return [frame[place] for place in results]


@dataclass
class ReadStateStep:
    """Read a state. Meaning: coremltools ``ops/defs/iOS18/states.py``."""

    location: str
    outputs: tuple[Output, ...]
    frees: tuple[int, ...]
    state: str

    def execute(self, frame: Frame, run: ExecutionContext) -> None:
        """Copy the state into the frame."""
        self.outputs[0].put(frame, run.states[self.state])


@dataclass
class WriteStateStep:
    """Write a state and read it back. Meaning: coremltools ``ops/defs/coreml_dialect/ops.py``."""

    location: str
    outputs: tuple[Output, ...]
    frees: tuple[int, ...]
    state: str
    value: int

    def execute(self, frame: Frame, run: ExecutionContext) -> None:
        """Replace the state."""
        self.outputs[0].put(frame, frame[self.value])
        run.states[self.state] = frame[self.outputs[0].place]
