"""Core ML programs that run in torch, on any machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from palettune.device_bench.runtime.batching import batch_size, run_each
from palettune.device_bench.runtime.errors import ProgramError
from palettune.device_bench.runtime.features import Feature, feature
from palettune.device_bench.runtime.plan import Plan, plan_function
from palettune.device_bench.runtime.program_file import ProgramFile, read_program_file
from palettune.device_bench.runtime.steps import ExecutionContext, Observer, OpCall, run_steps
from palettune.device_bench.runtime.values import ComputePrecision
from palettune.device_bench.runtime.weights import Weight
from palettune.space.errors import suggestion

__all__ = ["Program", "load"]

Inputs = Mapping[str, Any]
Values = dict[str, Any]


def load(
    path: str | Path,
    function: str | None = None,
    *,
    precision: ComputePrecision = ComputePrecision.FP32,
    device: str | torch.device = "cpu",
) -> Program:
    """Load one function of an ML Program package, ready to run.

    Args:
        path: the ``.mlpackage``.
        function: which function; the package's default one when None.
        precision: ``FP32`` computes every float in float32; ``FP16`` rounds to half after each op whose output the
            program says is fp16.
        device: where to run, as torch names it.

    Raises:
        ProgramError: not an ML Program, a damaged weight file, no such function.
        UnsupportedOpError: an op without a kernel.
    """
    file = read_program_file(path, function)
    target = torch.device(device)
    return Program(file, plan_function(file, precision, target), precision, target)


class Program:
    """One function of a package, prepared once and run many times; only a ``sequence`` keeps anything between runs.

    Gradients flow from outputs to inputs and to weights handed to ``run``, except through integers.

    Attributes:
        path: the package.
        function: the function's name.
        precision: of its floats.
        device: where it runs.
        inputs: by name.
        outputs: by name.
        states: by name.
        weights: float constants of rank 1 and more, decoded, by name.
        op_types: op type by the name of each value that can be captured, in the order of execution.
        op_names: name of the op that makes each value; it differs where an output was renamed.
        sources: names of the values from which each value is made; what happens within blocks is left out.
    """

    def __init__(self, file: ProgramFile, plan: Plan, precision: ComputePrecision, device: torch.device) -> None:
        self.path, self.function, self.precision, self.device = file.path, file.function_name, precision, device
        self._plan = plan
        self._storage = {entry.name: entry for entry in plan.inputs}
        self.inputs: dict[str, Feature] = {entry.name: feature(entry) for entry in file.inputs}
        self.outputs: dict[str, Feature] = {entry.name: feature(entry) for entry in file.outputs}
        self.states: dict[str, Feature] = {entry.name: feature(entry) for entry in file.states}
        self.weights: Mapping[str, Weight] = plan.weights
        self.op_types: Mapping[str, str] = plan.op_types
        self.op_names: Mapping[str, str] = plan.op_names
        self.sources: Mapping[str, tuple[str, ...]] = plan.sources
        self._carried: dict[str, Tensor] | None = None

    def new_state(self) -> dict[str, Tensor]:
        """Return the states of a new session: zeros."""
        return {name: torch.zeros(state.shape, device=self.device) for name, state in self.states.items()}

    def run(
        self,
        inputs: Inputs,
        *,
        weights: Mapping[str, Tensor] | None = None,
        calls: Mapping[str, OpCall] | None = None,
        state: dict[str, Tensor] | None = None,
        capture: Iterable[str] = (),
        observe: Observer | None = None,
        vectorize: bool | None = None,
    ) -> Values:
        """Run once.

        Args:
            inputs: values by name, see ``Feature.tensor``. A program that takes one sample runs on several when each
                input has them along its first dimension: every sample is computed on its own.
            weights: tensors in the place of the program's weights, by name, for instance ones that need gradients.
            calls: by the name of an op's first output, what is called in the place of the op's kernel.
            state: from ``new_state``; changed in place. Without it, a new one, or that of the ``sequence`` under way.
            capture: names of intermediate values to return beside the outputs.
            observe: called with the name and value of everything that is computed, in order; sample by sample.
            vectorize: whether several samples go through in one pass; by default on accelerators, where it is faster,
                and not on CPUs, where it was measured to be slower (``experiments/benchmarks/runtime_speed``).

        Returns:
            Outputs, then captured values, by name.

        Raises:
            ProgramError: a wrong name or shape, or samples that this program cannot take together.
            ExecutionError: an op failed on these values.
        """
        tensors = self._tensors(inputs)
        replaced = self._replaced(weights or {})
        names = self._captured(capture)
        count = batch_size(self.path, self.inputs, tensors)
        if count is None:
            return self._execute(tensors, replaced, names, ExecutionContext(self._states(state), observe, calls or {}))
        if self.states:
            raise ProgramError(f"{self.path}: a program with states takes one sample at a time")

        def sample(values: Mapping[str, Tensor]) -> Values:
            return self._execute(values, replaced, names, ExecutionContext({}, observe, calls or {}))

        wanted = self.device.type != "cpu" if vectorize is None else vectorize
        return run_each(self.path, sample, tensors, count, wanted and observe is None)

    @contextlib.contextmanager
    def sequence(self) -> Iterator[None]:
        """Carry one state through the runs within this context that are given none."""
        before, self._carried = self._carried, self.new_state()
        try:
            yield
        finally:
            self._carried = before

    def run_tensors(
        self, inputs: Inputs, *, calls: Mapping[str, OpCall] | None = None, state: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Run once and return the tensor outputs, with a classifier's probabilities as a tensor.

        Arguments and errors as for ``run``. Labels, as all text, are left out.
        """
        tables = {name: self.sources[name] for name in self.outputs if self.op_types.get(name) == "classify"}
        behind = {name: sources[0] for name, sources in tables.items() if sources}
        values = self.run(inputs, calls=calls, state=state, capture=behind.values())
        tensors: dict[str, Tensor] = {}
        for name in self.outputs:
            value = values[name]
            first = value[0] if isinstance(value, list) and value else value
            if isinstance(value, Tensor):
                tensors[name] = value
            elif isinstance(first, Mapping) and name in behind:
                tensors[name] = values[behind[name]]
        return tensors

    def __deepcopy__(self, memo: dict[int, Any]) -> Program:
        """Return the program itself, which is never changed."""
        return self

    def _execute(
        self,
        tensors: Mapping[str, Tensor],
        weights: Mapping[int, Tensor],
        capture: set[str],
        run: ExecutionContext,
    ) -> Values:
        frame = self._plan.frame.copy()
        for place, weight in weights.items():
            frame[place] = weight
        for name, value in tensors.items():
            self._storage[name].put(frame, value)
        captured: Values = {}

        def watch(name: str, value: Any) -> None:
            if name in capture:
                captured[name] = value
            if run.observe is not None:
                run.observe(name, value)

        # Entering a device costs a little at each op; tensors are made on the CPU anyway.
        scope = contextlib.nullcontext() if self.device.type == "cpu" else self.device
        with scope:
            run_steps(self._plan.steps, frame, replace(run, observe=watch if capture or run.observe else None))
        return {name: frame[place] for name, place in self._plan.outputs.items()} | captured

    def _tensors(self, inputs: Inputs) -> dict[str, Tensor]:
        for name in inputs:
            if name not in self.inputs:
                known = ", ".join(self.inputs)
                raise ProgramError(f"{self.path}: no input {name!r}, only {known}{suggestion(name, self.inputs)}")
        tensors: dict[str, Tensor] = {}
        for name, wanted in self.inputs.items():
            value = inputs.get(name)
            if value is None:
                if wanted.default is None:
                    raise ProgramError(f"{self.path}: input {name!r} is missing; shape {wanted.expected()} is expected")
                value = torch.full(wanted.shape, wanted.default)
            tensors[name] = wanted.tensor(value, self._storage[name].dtype, self.device)
        return tensors

    def _replaced(self, weights: Mapping[str, Tensor]) -> dict[int, Tensor]:
        places: dict[int, Tensor] = {}
        for name, value in weights.items():
            if name not in self.weights:
                raise ProgramError(f"{self.path}: no weight {name!r}{suggestion(name, self.weights)}")
            if value.shape != self.weights[name].tensor.shape:
                expected = tuple(self.weights[name].tensor.shape)
                raise ProgramError(f"weight {name!r}: shape {expected} is expected, got {tuple(value.shape)}")
            places[self._plan.weight_places[name]] = value
        return places

    def _captured(self, names: Iterable[str]) -> set[str]:
        wanted = set(names)
        for name in wanted - self.op_types.keys():
            raise ProgramError(f"{self.path}: no op makes a value {name!r}{suggestion(name, self.op_types)}")
        return wanted

    def _states(self, state: dict[str, Tensor] | None) -> dict[str, Tensor]:
        states = state if state is not None else self._carried if self._carried is not None else self.new_state()
        if states.keys() != self.states.keys():
            raise ProgramError(f"{self.path}: states {sorted(self.states)} are expected, got {sorted(states)}")
        return states
