"""Graph passes for weights used transposed (``x @ weight.T``), as output heads that share an embedding often are.

coremltools transposes a plain constant during conversion and stores the result beside the original; a compressed one is
left alone. These passes hide plain constants as compressed ones while the other passes run, so that the program is the
same for every encoding and holds the weight once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from palettune.device_bench.conversion.weights.table_constant import table_constant
from palettune.device_bench.library_internals import AbstractGraphPass, register_pass

__all__ = ["HOLD", "RELEASE"]

#: Pass that puts a table of two entries in the place of each such weight.
HOLD = "palettune::hold_turned_weights"
#: Pass that puts the weights back.
RELEASE = "palettune::release_turned_weights"

_STEPS = 2048
#: Operands that hold a weight, by op; those of a gather must be upright.
_OPERANDS = {"linear": ("weight",), "matmul": ("x", "y"), "gather": ("x",)}


def _is_turned(variable: Any) -> bool:
    """Whether a matrix is used only as a weight, upright at least once and transposed at least once.

    A matrix that is transposed twice before a product, as the front end writes ``x @ weight.T``, counts as upright.
    """
    if variable.rank != 2 or not any(op.op_type == "transpose" for op in variable.child_ops):
        return False
    uses = _uses(variable, turned=False)
    return uses is not None and not all(uses)


def _put_table(function: Any, op: Any, table: np.ndarray[Any, Any]) -> None:
    """Replace a constant op by a table of two entries."""
    new = table_constant(op.outputs[0].shape, table, op.name, op)
    function.replace_uses_of_var_after_op(anchor_op=op, old_var=op.outputs[0], new_var=new, force_replace=True)
    function.remove_ops([op])


@register_pass(namespace="palettune", override=True)
class hold_turned_weights(AbstractGraphPass):  # type: ignore[misc]  # coremltools registers it by this name
    """Graph pass: replace weights that are used transposed by tables, which no other pass transposes."""

    def apply(self, prog: Any) -> None:
        """Replace such weights in all functions of a MIL program, which keeps their values."""
        held: list[np.ndarray[Any, Any]] = []
        for function in prog.functions.values():
            with function:
                for op in list(function.operations):
                    if op.op_type == "const" and _is_matrix(op.outputs[0].val) and _is_turned(op.outputs[0]):
                        number = len(held)
                        held.append(op.outputs[0].val)
                        _put_table(function, op, np.array([number % _STEPS, number // _STEPS + 0.5], np.float32))
        prog.palettune_held = held


@register_pass(namespace="palettune", override=True)
class release_turned_weights(AbstractGraphPass):  # type: ignore[misc]
    """Graph pass: put the held weights back as constants, in the type that the passes gave to the tables."""

    def apply(self, prog: Any) -> None:
        """Put the weights back in all functions of a MIL program."""
        held = getattr(prog, "palettune_held", [])
        for function in prog.functions.values():
            with function:
                for op in list(function.operations) if held else ():
                    number = _number(op)
                    if number is not None:
                        self._release(function, op, held[number])

    @staticmethod
    def _release(function: Any, op: Any, value: np.ndarray[Any, Any]) -> None:
        old = op.outputs[0]
        new = mb.const(val=value.astype(types.nptype_from_builtin(old.dtype)), before_op=op, name=op.name)
        function.replace_uses_of_var_after_op(anchor_op=op, old_var=old, new_var=new, force_replace=True)
        function.remove_ops([op])


def _is_matrix(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype == np.float32


def _uses(variable: Any, turned: bool) -> list[bool] | None:
    """For each op that takes a matrix as its weight, whether it is turned over; ``None`` where it is anything else."""
    if variable.consuming_blocks:
        return None
    found: list[bool] = []
    for op in variable.child_ops:
        if op.op_type == "shape":
            continue
        if op.op_type == "transpose" and [axis % 2 for axis in op.perm.val] == [1, 0]:
            further = _uses(op.outputs[0], not turned)
        else:
            further = [turned] if _is_weight(variable, op) and not (turned and op.op_type == "gather") else None
        if further is None:
            return None
        found += further
    return found


def _is_weight(variable: Any, op: Any) -> bool:
    """Whether an op takes a variable as its weight, and computes with something that is not constant."""
    used = any(op.inputs.get(name) is variable for name in _OPERANDS.get(op.op_type, ()))
    return used and all(output.val is None for output in op.outputs)


def _number(op: Any) -> int | None:
    """Which of the weights held a table stands for; ``None`` for any other op."""
    if op.op_type != "constexpr_lut_to_dense" or np.size(op.lut.val) != 2:
        return None
    low, high = np.ravel(op.lut.val).tolist()
    return int(low + _STEPS * (high - 0.5)) if high % 1 == 0.5 and low % 1 == 0 and low >= 0 and high > 0 else None
