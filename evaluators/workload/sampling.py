"""Sampling: axes of samples in a workload's data, and recurrent state of its model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from palettune.device_bench.model.recurrent_state import NO_STATE, RecurrentState
from palettune.evaluators.workload.course import Course, ForwardStep
from palettune.evaluators.workload.sample_axes import FIRST, Inputs, SampleAxes

__all__ = ["Sampling"]


@dataclass(frozen=True)
class Sampling:
    """Properties of a model and its data that every pass over the data depends on.

    Attributes:
        axes: axes of samples.
        state: what a forward pass changes in the model, as it was when the model was loaded.
        sequence: number of items after which state is reset; ``None`` for one sequence of all items.
    """

    axes: SampleAxes = FIRST
    state: RecurrentState = NO_STATE
    sequence: int | None = None

    @property
    def recurrent(self) -> bool:
        """Whether the model's outputs for an item depend on the items before it."""
        return self.state.recurrent

    def identity(self) -> dict[str, Any]:
        """Return the properties that influence results; empty for a model without state and samples along the first axis."""
        found: dict[str, Any] = {}
        if self.axes != FIRST:
            found["axes"] = [self.axes.inputs, self.axes.outputs, self.axes.whole]
        if self.recurrent:
            found["sequence"] = self.sequence
        return found

    def begin(self, position: int) -> int:
        """Return the position of the first item to run so that the state is right at ``position``."""
        if not self.recurrent:
            return position
        return position - position % self.sequence if self.sequence else 0

    def course(self, items: Sequence[Inputs], counted: Collection[int] | None = None) -> Course:
        """Return a course over items.

        Args:
            items: in the data's order; the first one begins a sequence.
            counted: positions of the items whose outputs are wanted; all if ``None``.
        """
        wanted = range(len(items)) if counted is None else counted
        if not self.recurrent:
            return Course(tuple(ForwardStep(items[i]) for i in sorted(wanted)), self.state, self.axes)
        last = max(wanted, default=-1)
        chosen = set(wanted)
        steps = (ForwardStep(items[i], i in chosen, self.begin(i) == i) for i in range(last + 1))
        return Course(tuple(steps), self.state, self.axes)
