"""Uses of coded tensors in a program that a front end has just made: as weights of ops, or in any other way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from palettune.device_bench.conversion.front_end import words_of_line
from palettune.device_bench.conversion.weights.weight_codes import CodedPart, WeightCodes
from palettune.device_bench.package.op_modules import source_of
from palettune.device_bench.package_model.package_layers import operations, weight_kind
from palettune.space.layer import LayerKind

__all__ = ["CodedUse", "CodedUses", "at_line"]

_TORCH = str(Path(torch.__file__).parent)


#: Ops that move values. What others make may look like codes in order: so does a mean of rows.
_MOVING = frozenset(
    {
        *("cast", "concat", "expand_dims", "gather", "identity", "reshape", "reverse", "slice_by_index"),
        *("gather_along_axis", "gather_nd", "slice_by_size", "split", "squeeze", "stack", "tile", "transpose"),
        "select",
    }
)


@dataclass(frozen=True, eq=False)
class CodedUse:
    """Use of elements of a tensor by an op that computes with something that is not constant.

    Attributes:
        part: the elements.
        op: coremltools' op; None where the model returns them.
        operand: the parameter of the op.
        index: among several values of that parameter.
        variable: what the op takes.
        kind: what the op does with them as its weight; None where they are no weight.
        reason: why they are no weight.
    """

    part: CodedPart
    op: Any
    operand: str
    index: int
    variable: Any
    kind: LayerKind | None
    reason: str = ""

    @property
    def groups(self) -> int:
        """Groups of a convolution; 1 of any other op."""
        groups = self.op.inputs.get("groups") if self.op is not None else None
        return 1 if groups is None else int(groups.val)

    @property
    def turns(self) -> bool:
        """Whether the op takes a matrix that another op has transposed just as well."""
        return self.op is not None and self.op.op_type == "matmul" and len(self.part.shape) == 2

    def put(self, variable: Any) -> None:
        """Let the op take another variable instead."""
        if self.op is None:
            return
        value = self.op.inputs[self.operand]
        if isinstance(value, (list, tuple)):
            variable = [variable if i == self.index else item for i, item in enumerate(value)]
        self.op.set_inputs(no_check_var_types=True, **{self.operand: variable})


class CodedUses:
    """All uses of coded tensors in one function of a MIL program.

    Args:
        function: coremltools' function; not changed.
        codes: of the tensors.

    Attributes:
        uses: by tensor, those of elements in any order.
        computed: by tensor, why the program holds values that are computed from it.
    """

    def __init__(self, function: Any, codes: WeightCodes) -> None:
        self._codes = codes
        self._parts: dict[int, CodedPart | None] = {}
        self._tensors: dict[int, frozenset[str]] = {}
        self.uses: dict[str, list[CodedUse]] = {}
        self.computed: dict[str, str] = {}
        for op in operations(function):
            if not _is_constant(op):
                self._read(op)
            elif op.op_type not in ("const", "shape"):
                self._check(op)
        for variable in function.outputs:
            self._note(None, "", 0, variable)

    def _read(self, op: Any) -> None:
        for operand, value in op.inputs.items():
            for index, variable in enumerate(value if isinstance(value, (list, tuple)) else [value]):
                self._note(op, operand, index, variable)

    def _check(self, op: Any) -> None:
        """Note the tensors that an op computes with, for the front end may compute further without any op."""
        for variable in op.outputs:
            if op.op_type not in _MOVING or self._part(variable) is None:
                self._computed_by(op, self._made_of(variable))

    def _computed_by(self, op: Any, tensors: frozenset[str]) -> None:
        does = "computes with its weight before use, and the program holds the result"
        reason = f"op {op.name!r} ({op.op_type}) {does}{at_line(op)}"
        self.computed.update(dict.fromkeys(tensors - self.computed.keys(), reason))

    def _note(self, op: Any, operand: str, index: int, variable: Any) -> None:
        tensors = self._made_of(variable)
        if not tensors:
            return
        part = self._part(variable)
        if part is None or len(tensors) > 1:
            self._computed_by(self._computer(variable.op), tensors)
            return
        kind = "returned by the model as it is" if op is None else weight_kind(op, operand, variable)
        use = CodedUse(
            part, op, operand, index, variable, *((kind, "") if isinstance(kind, LayerKind) else (None, kind))
        )
        self.uses.setdefault(part.tensor, []).append(use)

    def _made_of(self, variable: Any) -> frozenset[str]:
        """The coded tensors that a constant is made of."""
        found = self._tensors.get(id(variable))
        if found is None:
            found = self._tensors[id(variable)] = frozenset(self._makers(variable))
        return found

    def _computer(self, op: Any) -> Any:
        """The op that computes with elements in order: a later one may only move its result."""
        for value in op.inputs.values():
            for item in value if isinstance(value, (list, tuple)) else [value]:
                if self._made_of(item) and self._part(item) is None:
                    return self._computer(item.op)
        return op

    def _makers(self, variable: Any) -> Iterator[str]:
        op = variable.op
        if op is None or op.op_type == "shape":
            return
        if op.op_type == "const":
            part = self._part(variable)
            if part is not None:
                yield part.tensor
        elif variable.val is not None:
            for value in op.inputs.values():
                for item in value if isinstance(value, (list, tuple)) else [value]:
                    yield from self._made_of(item)

    def _part(self, variable: Any) -> CodedPart | None:
        if id(variable) not in self._parts:
            value = variable.val
            part = self._codes.part(value) if isinstance(value, np.ndarray) else None
            self._parts[id(variable)] = part
        return self._parts[id(variable)]


def _is_constant(op: Any) -> bool:
    return op.op_type == "const" or (bool(op.outputs) and all(output.val is not None for output in op.outputs))


def at_line(op: Any) -> str:
    """Return where the user's source calls an op, such as ``; net.py:12 (`x + self.table`)``; empty if not known."""
    line = words_of_line(source_of(op), without=_TORCH)
    return f"; {line}" if line else ""
