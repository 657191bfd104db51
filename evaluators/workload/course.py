"""A course: inputs that a model runs on one after another, from the state that each is to begin with.

Whatever runs a model over data runs a course, so that nothing that a forward pass leaves in a module is met by the
next trial: state is restored where a sequence begins and when a course ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from palettune.device_bench.model.recurrent_state import NO_STATE, RecurrentState
from palettune.evaluators.workload.halving import Room, in_halves
from palettune.evaluators.workload.placement import device_of, on
from palettune.evaluators.workload.sample_axes import FIRST, Inputs, SampleAxes

__all__ = ["Course", "Hook", "Step", "watched"]

Hook = Callable[[nn.Module, tuple[Any, ...]], Any]


@dataclass(frozen=True)
class Step:
    """One forward pass.

    Attributes:
        counted: whether its outputs are wanted; else it only carries the state on.
        fresh: whether a sequence begins here.
    """

    inputs: Inputs
    counted: bool = True
    fresh: bool = False


@dataclass(frozen=True)
class Course:
    """Forward passes in order, each on the device that the module is on.

    Attributes:
        state: what the model held when it was loaded.
        axes: where samples lie.
        room: how many samples memory holds at once.
    """

    steps: tuple[Step, ...]
    state: RecurrentState = NO_STATE
    axes: SampleAxes = FIRST
    room: Room = field(default_factory=Room, compare=False)

    @classmethod
    def of(cls, samples: Sequence[Inputs] | Course, axes: SampleAxes = FIRST) -> Course:
        """Inputs of a model without state; a course as it is."""
        return samples if isinstance(samples, Course) else cls(tuple(Step(inputs) for inputs in samples), axes=axes)

    @property
    def inputs(self) -> list[Inputs]:
        """Those whose outputs are wanted."""
        return [step.inputs for step in self.steps if step.counted]

    def together(self, size: int) -> Course:
        """The same with neighbouring samples in batches of at most ``size``, where samples can be joined."""
        if self.state.recurrent or self.axes.whole:
            return self
        batches: list[list[Inputs]] = []
        for step in self.steps:
            if batches and len(batches[-1]) < size and self.axes.fit_together(batches[-1][0], step.inputs):
                batches[-1].append(step.inputs)
            else:
                batches.append([step.inputs])
        return replace(self, steps=tuple(Step(self.axes.join(batch)) for batch in batches))

    def first(self, count: int) -> Course:
        """The same, no further than the first ``count`` wanted outputs."""
        steps: list[Step] = []
        for step in self.steps:
            if count <= 0:
                break
            steps.append(step)
            count -= step.counted
        return replace(self, steps=tuple(steps))

    def outputs(
        self, module: nn.Module, watching: Callable[[], AbstractContextManager[Any]] | None = None
    ) -> Generator[Any, None, None]:
        """What a module gives at each step that counts; a batch that memory does not hold runs in halves.

        Args:
            watching: entered while such a step runs, and at no other: what puts hooks in place, say. What watches has
                to see whole batches, so these are not halved: memory that runs out is an error.
        """
        with contextlib.closing(self.passes(module, halves=watching is None)) as passes:
            for run in passes:
                with watching() if watching else contextlib.nullcontext():
                    outputs = run()
                yield outputs

    def passes(self, module: nn.Module, *, halves: bool = False) -> Generator[Callable[[], Any], None, None]:
        """Each step that counts, as a function that runs it from the state of its place; it may be called again.

        Args:
            halves: run halves of a batch that memory does not hold, where the model has no state.
        """
        if not self.state:
            for step in self.steps:
                yield _Pass(module, step.inputs, self.axes, self.room if halves else None)
            return
        self.state.restore(module)
        try:
            for step in self.steps:
                if step.fresh:
                    self.state.restore(module)
                if not step.counted:
                    with torch.no_grad():
                        _run(module, step.inputs)
                    continue
                run = _StatefulPass(module, step.inputs, self.state.now(module))
                yield run
                if not run.ran:
                    run()
                run.left.restore(module)
        finally:
            self.state.restore(module)

    def gradients(self) -> AbstractContextManager[Any]:
        """Within it, gradients can be taken though a forward pass writes into its state."""
        if not self.state:
            return contextlib.nullcontext()
        return torch.autograd.graph.allow_mutation_on_saved_tensors()


@dataclass(frozen=True)
class _Pass:
    module: nn.Module
    inputs: Inputs
    axes: SampleAxes
    room: Room | None

    def __call__(self) -> Any:
        if self.room is None:
            return _run(self.module, self.inputs)
        return in_halves(lambda inputs: _run(self.module, inputs), self.inputs, self.axes, self.room)


class _StatefulPass:
    """Runs one step from one state, and keeps what it leaves."""

    def __init__(self, module: nn.Module, inputs: Inputs, begin: RecurrentState) -> None:
        self._module, self._inputs, self._begin = module, inputs, begin
        self.ran = False
        self.left = begin

    def __call__(self) -> Any:
        if self.ran:
            self._begin.restore(self._module)
        outputs = pytree.tree_map(_apart, _run(self._module, self._inputs))
        self.left, self.ran = self._begin.now(self._module), True
        return outputs


@contextlib.contextmanager
def watched(module: nn.Module, hooks: Mapping[str, Hook]) -> Iterator[None]:
    """While it lasts, what enters these submodules is shown to the hooks."""
    handles = [module.get_submodule(name).register_forward_pre_hook(hook) for name, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _run(module: nn.Module, inputs: Inputs) -> Any:
    return module(*on(inputs, device_of(module)))


def _apart(value: Any) -> Any:
    """A copy: a module may give out the very memory that its next pass writes into."""
    return value.clone() if isinstance(value, Tensor) else value
