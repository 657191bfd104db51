"""Sampling: how a workload's data go through its model: along which axes samples lie, and what state is restored when."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from palettune.device_bench.model.recurrent_state import NO_STATE, RecurrentState
from palettune.evaluators.workload.course import Course, ForwardStep
from palettune.evaluators.workload.sample_axes import FIRST, Inputs, SampleAxes

__all__ = ["DataOptions", "Sampling"]


@dataclass(frozen=True)
class DataOptions:
    """What the experiment says of the data.

    Attributes:
        sequence: items of the data after which state begins anew; one pass over all of them unless given.
        batch_axis: the axis that samples lie along, ``"none"`` for none; found unless given.
    """

    sequence: int | None = None
    batch_axis: Literal[0, 1, "none"] | None = None


@dataclass(frozen=True)
class Sampling:
    """What running a model over data has to know.

    Attributes:
        axes: where samples lie.
        state: what a forward pass changes, as it was when the model was loaded.
        sequence: items after which state begins anew; ``None`` for a pass over all of them.
    """

    axes: SampleAxes = FIRST
    state: RecurrentState = NO_STATE
    sequence: int | None = None

    @property
    def recurrent(self) -> bool:
        """Whether what the model gives for one item depends on the items before it."""
        return self.state.recurrent

    def identity(self) -> dict[str, Any]:
        """What of it decides results; empty for a model without state whose samples lie along the first axis."""
        found: dict[str, Any] = {}
        if self.axes != FIRST:
            found["axes"] = [self.axes.inputs, self.axes.outputs, self.axes.whole]
        if self.recurrent:
            found["sequence"] = self.sequence
        return found

    def begin(self, position: int) -> int:
        """The item that has to be run first so that the state is right at a position."""
        if not self.recurrent:
            return position
        return position - position % self.sequence if self.sequence else 0

    def course(self, items: Sequence[Inputs], counted: Collection[int] | None = None) -> Course:
        """A pass over items.

        Args:
            items: in the data's order; the first one begins a sequence.
            counted: positions of those whose outputs are wanted; all unless given.
        """
        wanted = range(len(items)) if counted is None else counted
        if not self.recurrent:
            return Course(tuple(ForwardStep(items[i]) for i in sorted(wanted)), self.state, self.axes)
        last = max(wanted, default=-1)
        chosen = set(wanted)
        steps = (ForwardStep(items[i], i in chosen, self.begin(i) == i) for i in range(last + 1))
        return Course(tuple(steps), self.state, self.axes)
