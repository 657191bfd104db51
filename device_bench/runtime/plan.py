"""Execution plans of MIL functions: kernels found, constants converted, values numbered, lifetimes known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from coremltools.converters.mil.mil import types
from torch import Tensor

import palettune.device_bench.runtime.ops  # noqa: F401 - registers the kernels
from palettune.device_bench.runtime.errors import UnsupportedOpError
from palettune.device_bench.runtime.program_file import ProgramFile
from palettune.device_bench.runtime.registry import Kernel, find
from palettune.device_bench.runtime.steps import (
    CondStep,
    Frame,
    KernelStep,
    LoopStep,
    Output,
    PlanStep,
    ReadStateStep,
    WriteStateStep,
)
from palettune.device_bench.runtime.values import ComputePrecision, attribute, is_half, storage_dtype, tensor
from palettune.device_bench.runtime.weights import Use, Weight, decoded

__all__ = ["Plan", "plan_function"]

_WRITE = "coreml_update_state"


@dataclass(frozen=True)
class Plan:
    """A function ready to run.

    Attributes:
        steps: in order.
        frame: the constants at their places, None elsewhere; a run starts from a copy.
        inputs: name, place and storage of each input.
        outputs: place of each output by name.
        weights: by name.
        weight_places: place of each weight.
        op_types: op type by the name of each value that a step makes.
        op_names: name of the op that makes each value, which differs where an output was renamed.
        sources: by the name of each value of the function's own block, the names of those that it is made from.
    """

    steps: tuple[PlanStep, ...]
    frame: Frame
    inputs: tuple[Output, ...]
    outputs: dict[str, int]
    weights: dict[str, Weight]
    weight_places: dict[str, int]
    op_types: dict[str, str]
    op_names: dict[str, str]
    sources: dict[str, tuple[str, ...]]


def plan_function(
    file: ProgramFile,
    precision: ComputePrecision,
    device: torch.device,
    *,
    exact: frozenset[str] = frozenset(),
    widened: bool = False,
) -> Plan:
    """Prepare one function of a package for execution.

    Args:
        exact: names of values that stay float32 where fp16 is emulated.
        widened: an infinite fp16 constant counts as the largest float32 number, which is what it was before it was
            stored if it was not infinite then (``torch.finfo(torch.float32).min`` in a mask). Of what ``exact`` values
            are made of alone, where there are some.

    Raises:
        UnsupportedOpError: an op without a kernel; names the op, its type and where it stands.
    """
    return _Planner(file, precision, device, exact, widened).plan()


def _is_constant_op(op: Any) -> bool:
    return bool(op.op_type == "const" or op.op_type.startswith("constexpr_"))


def _is_constant(variable: Any) -> bool:
    return variable.op is not None and _is_constant_op(variable.op)


def _writes_state(op: Any) -> bool:
    return op.op_type == _WRITE or any(_writes_state(inner) for block in op.blocks for inner in block.operations)


def _flat(value: Any) -> Sequence[Any]:
    if value is None:
        return []
    return value if isinstance(value, list | tuple) else [value]


class _Planner:
    def __init__(
        self, file: ProgramFile, precision: ComputePrecision, device: torch.device, exact: frozenset[str], widened: bool
    ) -> None:
        self._file, self._half, self._device = file, precision is ComputePrecision.FP16, device
        self._exact, self._widened = exact, widened
        self._places: dict[Any, int] = {}
        self._frame: Frame = []
        self._uses: dict[int, list[Use]] = {}
        self._constants: dict[int, Any] = {}
        self._op_types: dict[str, str] = {}
        self._op_names: dict[str, str] = {}
        self._sources: dict[str, tuple[str, ...]] = {}

    def plan(self) -> Plan:
        function = self._file.function
        inputs = tuple(
            self._output(variable, name)
            for name, variable in function.inputs.items()
            if not types.is_state(variable.sym_type)
        )
        results = {variable.name: self._place(variable) for variable in function.outputs}
        steps = self._block(function, set(results.values()))
        weights, places = self._weights()
        # Planned from the end backwards; handed over in the order of the program.
        op_types = dict(reversed(self._op_types.items()))
        sources = dict(reversed(self._sources.items()))
        return Plan(tuple(steps), self._frame, inputs, results, weights, places, op_types, self._op_names, sources)

    def _weights(self) -> tuple[dict[str, Weight], dict[str, int]]:
        weights: dict[str, Weight] = {}
        places: dict[str, int] = {}
        for place, variable in reversed(self._constants.items()):
            value = self._frame[place]
            if not isinstance(value, Tensor) or not value.is_floating_point() or value.dim() == 0:
                continue
            encoding = None if variable.op.op_type == "const" else variable.op.op_type
            uses = tuple(self._uses.get(place, ()))
            weights[variable.name] = Weight(variable.name, value, encoding, uses)
            places[variable.name] = place
        return weights, places

    def _place(self, variable: Any) -> int:
        """The place of a variable; a constant is decoded and stored when it is first asked for."""
        if variable not in self._places:
            self._places[variable] = len(self._frame)
            self._frame.append(None)
            if _is_constant(variable):
                place = self._places[variable]
                self._frame[place] = tensor(self._value(variable, decoded(variable)), self._device)
                self._constants[place] = variable
        return self._places[variable]

    def _value(self, variable: Any, value: Any) -> Any:
        """A constant's value, with its infinities as large float32 numbers where the plan is widened."""
        if not self._widened or not is_half(variable.sym_type) or np.isfinite(value).all():
            return value
        readers = {output.name for op in variable.child_ops for output in op.outputs}
        if self._exact and self._exact.isdisjoint(readers):
            return value
        largest = float(np.finfo(np.float32).max)
        return np.nan_to_num(np.asarray(value, np.float32), nan=np.nan, posinf=largest, neginf=-largest)

    def _output(self, variable: Any, name: str | None = None) -> Output:
        half = self._half and is_half(variable.sym_type) and variable.name not in self._exact
        return Output(name or variable.name, self._place(variable), storage_dtype(variable.sym_type), half)

    def _block(self, block: Any, kept: set[int]) -> list[PlanStep]:
        """Steps of a block that lead to its outputs or to a state; ``kept`` places outlive it."""
        kept = kept | {self._place(variable) for variable in block.outputs}
        made = {variable for op in block.operations for variable in op.outputs}
        live, needed = set(kept), set(kept)
        steps: list[PlanStep] = []
        for op in reversed(list(block.operations)):
            if _is_constant_op(op):
                continue
            if not _writes_state(op) and not any(self._place(v) in needed for v in op.outputs):
                continue
            reads = [v for v in self._reads(op) if not _is_constant(v)]
            last = tuple(self._place(v) for v in reads if v in made and self._place(v) not in live)
            unread = tuple(self._place(v) for v in op.outputs if self._place(v) not in live)
            if block is self._file.function:
                names = tuple(dict.fromkeys(v.name for v in reads))
                self._sources.update({v.name: names for v in reversed(op.outputs)})
            live.update(self._place(v) for v in reads)
            needed.update(self._place(v) for v in reads)
            steps.append(self._step(op, tuple(dict.fromkeys(last + unread)), live))
        return steps[::-1]

    def _reads(self, op: Any) -> list[Any]:
        """Variables that an op reads at run time, those that its blocks take from outside included."""
        if op.op_type in ("read_state", _WRITE):
            return [op.value] if op.op_type == _WRITE else []
        if not op.blocks:
            kernel = self._kernel(op)
            inputs = [(name, op.inputs.get(name)) for name in kernel.tensors + kernel.attributes]
            # An attribute that the loader has inferred is constant, whatever op computes it.
            return [v for name, value in inputs for v in _flat(value) if name in kernel.tensors or v.val is None]
        read = [v for name, value in op.inputs.items() if not name.startswith("_") for v in _flat(value)]
        for block in op.blocks:
            inside = set(block.inputs) | {v for inner in block.operations for v in inner.outputs}
            within = [v for inner in block.operations if not _is_constant_op(inner) for v in self._reads(inner)]
            read += [v for v in [*within, *block.outputs] if v not in inside]
        return read

    def _kernel(self, op: Any) -> Kernel:
        kernel = find(op.op_type, self._file.function.opset_version)
        if kernel is None:
            raise UnsupportedOpError(f"{self._location(op)}: the runtime has no kernel for it; see docs/op_coverage.md")
        return kernel

    def _step(self, op: Any, frees: tuple[int, ...], live: set[int]) -> PlanStep:
        location = self._location(op)
        outputs = tuple(self._output(variable) for variable in op.outputs)
        self._op_types.update({output.name: op.op_type for output in reversed(outputs)})
        self._op_names.update({output.name: op.name for output in outputs})
        if op.op_type == "cond":
            branches = [(self._block(block, live), self._results(block)) for block in op.blocks]
            return CondStep(location, outputs, frees, self._place(op.pred), (branches[0], branches[1]))
        if op.op_type == "while_loop":
            start = tuple(self._place(variable) for variable in op.loop_vars)
            condition, body = (self._loop_block(block, live) for block in op.blocks)
            return LoopStep(location, outputs, frees, start, condition, body)
        if op.op_type == "read_state":
            return ReadStateStep(location, outputs, frees, op.input.name)
        if op.op_type == "coreml_update_state":
            return WriteStateStep(location, outputs, frees, op.state.name, self._place(op.value))
        return self._kernel_step(op, location, outputs, frees)

    def _results(self, block: Any) -> tuple[int, ...]:
        return tuple(self._place(variable) for variable in block.outputs)

    def _loop_block(self, block: Any, live: set[int]) -> tuple[list[PlanStep], tuple[int, ...], tuple[int, ...]]:
        inputs = tuple(self._place(variable) for variable in block.inputs)
        return self._block(block, live | set(inputs)), inputs, self._results(block)

    def _kernel_step(self, op: Any, location: str, outputs: tuple[Output, ...], frees: tuple[int, ...]) -> KernelStep:
        kernel = self._kernel(op)
        inputs = {name: variable for name, variable in op.inputs.items() if variable is not None}
        unknown = [name for name in inputs if name not in kernel.tensors + kernel.attributes]
        if unknown:
            raise UnsupportedOpError(f"{location}: the kernel does not take the input {unknown[0]!r}")
        arguments = tuple(self._argument(op, name, inputs.get(name)) for name in kernel.tensors)
        constant, dynamic = self._attributes(kernel, op)
        return KernelStep(location, outputs, frees, kernel.function, arguments, constant, dynamic)

    def _argument(self, op: Any, name: str, variable: Any) -> int | list[int] | None:
        if variable is None:
            return None
        variables = list(variable) if isinstance(variable, list | tuple) else [variable]
        places = [self._place(v) for v in variables]
        for place in places:
            self._uses.setdefault(place, []).append(Use(op.op_type, op.name, name))
        return places if isinstance(variable, list | tuple) else places[0]

    def _attributes(self, kernel: Kernel, op: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Constant attributes as Python values, and the places of those that the program computes."""
        constant: dict[str, Any] = {}
        dynamic: dict[str, Any] = {}
        for name in kernel.attributes:
            if name not in op.input_spec.input_types:  # a later opset adds it: the kernel has its default
                continue
            variable = op.inputs.get(name)
            if variable is None:
                constant[name] = None
            elif isinstance(variable, list | tuple):
                if all(v.val is not None for v in variable):
                    constant[name] = [attribute(self._value(v, v.val)) for v in variable]
                else:
                    dynamic[name] = [self._place(v) for v in variable]
            elif variable.val is not None:
                constant[name] = attribute(self._value(variable, variable.val))
            else:
                dynamic[name] = self._place(variable)
        return constant, dynamic

    def _location(self, op: Any) -> str:
        return f"{self._file.path}, function {self._file.function_name!r}, op {op.name!r} of type {op.op_type!r}"
