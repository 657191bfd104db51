"""Graph pass that stores what a large constant repeats once: equal rows, first states of zeros.

An axis along which the values are equal gets length 1 where the op that takes the constant broadcasts; elsewhere, a constant
of one value becomes a table with one bit a value. The program computes the very same. Before iOS18 there are no such tables,
for theirs have a form that cannot be raised to a later target.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from palettune.device_bench.conversion.weights.table_constant import table_constant
from palettune.device_bench.library_internals import AbstractGraphPass, opset_has, register_pass
from palettune.device_bench.package.operand_ops import LEAST_ELEMENTS, OPERANDS

__all__ = ["REPEATED_CONSTANTS"]

#: The pass.
REPEATED_CONSTANTS = "palettune::store_repeated_constants_once"
_BROADCASTING = ("add", "sub", "mul", "real_div", "maximum", "minimum")


@register_pass(namespace="palettune", override=True)
class store_repeated_constants_once(AbstractGraphPass):  # type: ignore[misc]  # coremltools registers it by this name
    """Graph pass: see the module."""

    def apply(self, prog: Any) -> None:
        """Replace such constants in all functions of a MIL program."""
        for function in prog.functions.values():
            with function:
                for op in [op for op in function.operations if _is_large(op, function)]:
                    _shorten(function, op)


def _is_large(op: Any, function: Any) -> bool:
    if op.op_type != "const" or op.outputs[0] in function.outputs or not op.outputs[0].child_ops:
        return False
    value = op.outputs[0].val
    is_float = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return is_float and value.ndim >= 2 and value.size >= LEAST_ELEMENTS and bool(np.isfinite(value).all())


def _shorten(function: Any, op: Any) -> None:
    old = op.outputs[0]
    value = old.val
    axes = [axis for axis in _broadcast_axes(old) if bool((value == value.take([0], axis)).all())]
    if axes:
        short = value[tuple(slice(1) if axis in axes else slice(None) for axis in range(value.ndim))]
        new = mb.const(val=np.ascontiguousarray(short), name=op.name, before_op=op)
    elif bool((value == value.flat[0]).all()) and all(_takes(user, old) for user in old.child_ops):
        if not opset_has(ct.target.iOS18):
            return
        table = np.array([value.flat[0], value.flat[0] + 1], types.nptype_from_builtin(old.dtype))
        new = table_constant(old.shape, table, op.name, op)
    else:
        return
    function.replace_uses_of_var_after_op(
        anchor_op=op, old_var=old, new_var=new, no_check_var_types=True, force_replace=True
    )
    function.remove_ops([op])


def _broadcast_axes(variable: Any) -> set[int]:
    """Axes longer than 1 along which every op that takes a constant would repeat it."""
    found = [set(_axes_of(user, variable)) for user in variable.child_ops]
    return set.intersection(*found) if found else set()


def _axes_of(user: Any, variable: Any) -> Iterable[int]:
    if user.op_type not in _BROADCASTING or (user.x is variable) == (user.y is variable):
        return
    other = (user.y if user.x is variable else user.x).shape
    for axis, size in enumerate(variable.shape):
        place = axis - len(variable.shape) + len(other)
        if size > 1 and place >= 0 and other[place] == size:
            yield axis


def _takes(user: Any, variable: Any) -> bool:
    """Whether an op takes a variable as it is, and in no other way."""
    held = {
        name
        for name, value in user.inputs.items()
        if value is variable or (isinstance(value, (list, tuple)) and any(item is variable for item in value))
    }
    return user.op_type == "while_loop" or (bool(held) and held <= set(OPERANDS.get(user.op_type, ())))
