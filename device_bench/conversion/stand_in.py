"""Stand-ins for weights: tensors without memory that identify their layer in a converted program."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from palettune.device_bench.conversion.turned_weights import is_turned, put_table
from palettune.device_bench.library_internals import AbstractGraphPass, front_end_pass, register_pass
from palettune.device_bench.package.package import PackageWeight

__all__ = ["AS_TABLES", "MOST", "StandIn", "as_tables", "found_in"]

#: Pass that stores stand-ins as tables of two entries, an eighth of a byte or a byte a value, and quick to convert.
AS_TABLES = "palettune::stand_ins_as_tables"

_NOTE = "palettune::note_computed_stand_ins"
_STEPS = 1023
#: How many stand-ins fp16 can tell apart.
MOST = 14 * _STEPS


@dataclass(frozen=True)
class _Marks:
    """What the pass looks for, and what it has found that computes with it, by ``StandIn.size``."""

    stand_ins: Mapping[float, StandIn]
    computed: dict[float, str]


_marks: ContextVar[_Marks] = ContextVar("marks")


@dataclass(frozen=True, eq=False)
class StandIn:
    """Stand-in for one weight: every value is ``size``, those of the first slice along axis 0 are negative.

    Attributes:
        layers: names of the layers that hold the weight, more than one when it is tied.
        shape: of the weight.
        number: from 0 on; decides ``size``.
    """

    layers: tuple[str, ...]
    shape: tuple[int, ...]
    number: int

    @property
    def size(self) -> float:
        """Value that identifies the stand-in: exact in fp16, and unlikely as a constant of a model."""
        return float((1 + (self.number % _STEPS + 1) / 1024) * 2.0 ** (self.number // _STEPS))

    def parameter(self) -> nn.Parameter:
        """Return a parameter of the weight's shape, with one element in memory for each index of its first axis."""
        signs = torch.full((self.shape[0],), self.size)
        signs[0] = -self.size
        values: Tensor = signs.reshape(-1, *[1] * (len(self.shape) - 1)).expand(self.shape)
        return nn.Parameter(values, requires_grad=False)

    def is_upright(self, value: NDArray[Any]) -> bool:
        """Return whether a constant is the stand-in, not transposed."""
        return value.shape == self.shape and bool((value[0] == -self.size).all() and (value[1:] == self.size).all())


def found_in(operand: object, by_size: Mapping[float, StandIn]) -> tuple[StandIn, bool] | None:
    """Return the stand-in that a constant is, and whether it has been transposed; None for any other operand."""
    if not isinstance(operand, PackageWeight):
        return None
    if operand.operation == "constexpr_lut_to_dense":
        table = operand.part(operand.operation, "lut")
        found = _of_table(None if table is None else table.value, by_size)
        return None if found is None else (found, False)
    if operand.operation not in ("const", "constexpr_cast") or np.ndim(operand.value) < 2:
        return None
    if operand.value.dtype.kind != "f":
        return None
    found = by_size.get(float(-operand.value.flat[0]))
    if found is None:
        return None
    if found.is_upright(operand.value):
        return found, False
    return (found, True) if operand.value.ndim == 2 and found.is_upright(operand.value.T) else None


def _of_table(table: Any, by_size: Mapping[float, StandIn]) -> StandIn | None:
    if table is None or np.size(table) != 2:
        return None
    low, high = np.ravel(table).tolist()
    return by_size.get(high) if low == -high else None


@contextlib.contextmanager
def as_tables(stand_ins: Mapping[float, StandIn]) -> Iterator[Mapping[float, str]]:
    """Give the graph pass ``AS_TABLES`` its stand-ins while a conversion runs.

    Yields:
        A mapping that is filled during the conversion: by ``StandIn.size``, the op that computes with a plain weight
        while coremltools converts. Such a weight is stored differently when it is compressed.
    """
    computed: dict[float, str] = {}
    token = _marks.set(_Marks(stand_ins, computed))
    try:
        # ahead of the front end's own passes, which drop the ops that it has computed with itself
        with front_end_pass(_NOTE):
            yield computed
    finally:
        _marks.reset(token)


@register_pass(namespace="palettune", override=True)
class note_computed_stand_ins(AbstractGraphPass):  # type: ignore[misc]
    """Graph pass: note the stand-ins that the front end or a later pass computes with."""

    def apply(self, prog: Any) -> None:
        """Note the stand-ins in all functions of a MIL program that are computed with."""
        marks = _marks.get()
        marks.computed.clear()  # a front end that failed later has been here before
        for function in prog.functions.values():
            for op in function.operations:
                stand_in = _of_constant(op, marks.stand_ins)
                reason = None if stand_in is None else _computed(op.outputs[0])
                if stand_in is not None and reason is not None:
                    marks.computed.setdefault(stand_in.size, reason)


@register_pass(namespace="palettune", override=True)
class stand_ins_as_tables(AbstractGraphPass):  # type: ignore[misc]  # coremltools registers it by this name
    """Graph pass: replace stand-ins by tables of two entries, before other passes spend time on their values."""

    def apply(self, prog: Any) -> None:
        """Replace the stand-ins in all functions of a MIL program, except those that are computed with."""
        marks = _marks.get()
        for function in prog.functions.values():
            with function:
                for op in list(function.operations):
                    stand_in = _of_constant(op, marks.stand_ins)
                    if stand_in is not None and stand_in.size not in marks.computed:
                        self._replace(function, op, stand_in)

    @staticmethod
    def _replace(function: Any, op: Any, stand_in: StandIn) -> None:
        put_table(function, op, np.array([-stand_in.size, stand_in.size], np.float32))


def _of_constant(op: Any, stand_ins: Mapping[float, StandIn]) -> StandIn | None:
    """The stand-in that an op of a program is, before any pass has changed it."""
    value = op.outputs[0].val if op.op_type == "const" else None
    if not isinstance(value, np.ndarray) or value.ndim < 2 or value.dtype != np.float32:
        return None
    found = stand_ins.get(float(-value.flat[0]))
    return found if found is not None and found.is_upright(value) else None


def _computed(variable: Any) -> str | None:
    """What coremltools' passes would make of a plain constant; None where they leave it as it is."""
    turned = is_turned(variable)
    for op in sorted(variable.child_ops, key=lambda op: op.op_type == "transpose"):  # what computes is named first
        if op.op_type == "shape" or (turned and op.op_type == "transpose"):
            continue
        if any(output.val is not None for output in op.outputs):
            return (
                f"op {op.name!r} ({op.op_type}) computes with its weight before use, and the program holds the result"
            )
        if op.op_type == "matmul" and not turned and _becomes_linear(op):
            return f"op {op.name!r} (matmul) becomes a linear op of the transposed weight where the weight is fp16"
    return None


def _becomes_linear(op: Any) -> bool:
    """Whether ``common::fuse_matmul_weight_bias`` may take a product and the addition after it for one op."""
    users = list(op.outputs[0].child_ops)
    if len(users) != 1 or users[0].op_type not in ("add", "sub"):
        return False
    return users[0].x.val is not None or users[0].y.val is not None
