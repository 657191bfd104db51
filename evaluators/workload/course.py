"""Courses: forward passes in order, with the model's recurrent state restored where a sequence begins.

All code that runs a model over data runs a course, so that a forward pass does not influence the next trial: state is
restored where a sequence begins and when the course ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from palettune.device_bench.model.recurrent_state import NO_STATE, RecurrentState
from palettune.evaluators.library_internals import tree_map
from palettune.evaluators.placement import device_of, on
from palettune.evaluators.workload.halving import Room, in_halves
from palettune.evaluators.workload.sample_axes import FIRST, Inputs, SampleAxes

__all__ = ["Course", "ForwardStep", "Hook", "watched"]

Hook = Callable[[nn.Module, tuple[Any, ...]], Any]


@dataclass(frozen=True)
class ForwardStep:
    """One forward pass.

    Attributes:
        inputs: of the pass.
        counted: whether its outputs are wanted; if not, it only updates the model's state.
        fresh: whether a sequence begins with this pass.
    """

    inputs: Inputs
    counted: bool = True
    fresh: bool = False


@dataclass(frozen=True)
class Course:
    """Forward passes in order, each on the device that the module is on.

    Attributes:
        steps: the passes.
        state: the model's recurrent state when it was loaded.
        axes: axes of samples.
        room: the number of samples that memory has been found to hold at once.
    """

    steps: tuple[ForwardStep, ...]
    state: RecurrentState = NO_STATE
    axes: SampleAxes = FIRST
    room: Room = field(default_factory=Room, compare=False)

    @classmethod
    def of(cls, samples: Sequence[Inputs] | Course, axes: SampleAxes = FIRST) -> Course:
        """Return the course over inputs of a model without state; a course is returned unchanged."""
        return (
            samples if isinstance(samples, Course) else cls(tuple(ForwardStep(inputs) for inputs in samples), axes=axes)
        )

    @property
    def inputs(self) -> list[Inputs]:
        """Inputs of the passes whose outputs are wanted."""
        return [step.inputs for step in self.steps if step.counted]

    def together(self, size: int) -> Course:
        """Join neighbouring samples into batches of at most ``size``.

        A course of a model with state, or of samples that cannot be joined, is returned unchanged.
        """
        if self.state.recurrent or self.axes.whole:
            return self
        batches: list[list[Inputs]] = []
        for step in self.steps:
            if batches and len(batches[-1]) < size and self.axes.fit_together(batches[-1][0], step.inputs):
                batches[-1].append(step.inputs)
            else:
                batches.append([step.inputs])
        return replace(self, steps=tuple(ForwardStep(self.axes.join(batch)) for batch in batches))

    def first(self, count: int) -> Course:
        """Return the beginning of the course, with ``count`` wanted outputs."""
        steps: list[ForwardStep] = []
        for step in self.steps:
            if count <= 0:
                break
            steps.append(step)
            count -= step.counted
        return replace(self, steps=tuple(steps))

    def outputs(
        self, module: nn.Module, watching: Callable[[], AbstractContextManager[Any]] | None = None
    ) -> Generator[Any, None, None]:
        """Run a module and yield its outputs at each counted step; a batch that does not fit in memory runs in halves.

        Args:
            watching: returns a context that is entered for counted steps only, to register hooks for example. With it
                no batch is halved, because hooks need whole batches: running out of memory is then an error.
        """
        with contextlib.closing(self.passes(module, halves=watching is None)) as passes:
            for run in passes:
                with watching() if watching else contextlib.nullcontext():
                    outputs = run()
                yield outputs

    def passes(self, module: nn.Module, *, halves: bool = False) -> Generator[Callable[[], Any], None, None]:
        """Yield for each counted step a function that runs it from the right state; it may be called again.

        Args:
            halves: run a batch that does not fit in memory in halves; without effect where the model has state.
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
        """Return a context in which gradients can be computed although a forward pass writes to its state."""
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
    """Function that runs one step from one state and records the state after it."""

    def __init__(self, module: nn.Module, inputs: Inputs, begin: RecurrentState) -> None:
        self._module, self._inputs, self._begin = module, inputs, begin
        self.ran = False
        self.left = begin

    def __call__(self) -> Any:
        if self.ran:
            self._begin.restore(self._module)
        outputs = tree_map(_apart, _run(self._module, self._inputs))
        self.left, self.ran = self._begin.now(self._module), True
        return outputs


@contextlib.contextmanager
def watched(module: nn.Module, hooks: Mapping[str, Hook]) -> Iterator[None]:
    """Register forward pre-hooks on submodules by name, inside the context."""
    handles = [module.get_submodule(name).register_forward_pre_hook(hook) for name, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _run(module: nn.Module, inputs: Inputs) -> Any:
    return module(*on(inputs, device_of(module)))


def _apart(value: Any) -> Any:
    """Copy a tensor, because a module may return memory that its next pass writes to."""
    return value.clone() if isinstance(value, Tensor) else value
