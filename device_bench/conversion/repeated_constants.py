"""Graph pass that stores what a large constant repeats once: equal rows, first states of zeros, masks of two values.

An axis along which the values are equal gets length 1 where the op that takes the constant broadcasts; elsewhere, a constant
of few values becomes a table of these. The program computes the very same. Before iOS18 there are no such tables, for theirs
have a form that cannot be raised to a later target.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types
from numpy.typing import NDArray

from palettune.device_bench.library_internals import AbstractGraphPass, opset_has, register_pass
from palettune.device_bench.package.operand_ops import LEAST_ELEMENTS, OPERANDS

__all__ = ["REPEATED_CONSTANTS"]

#: The pass.
REPEATED_CONSTANTS = "palettune::store_repeated_constants_once"
#: Bits of an index into the values that a constant has.
_BITS = {1: types.uint1, 2: types.uint2, 4: types.uint4}
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
    else:
        levels, indices = np.unique(value, return_inverse=True)
        known = opset_has(ct.target.iOS18) and all(_takes(user, old) for user in old.child_ops)
        if not known or len(levels) > 2 ** max(_BITS):
            return
        new = _table(levels, indices.reshape(value.shape), op)
    function.replace_uses_of_var_after_op(
        anchor_op=op, old_var=old, new_var=new, no_check_var_types=True, force_replace=True
    )
    function.remove_ops([op])


def _table(levels: NDArray[Any], indices: NDArray[Any], op: Any) -> Any:
    bits = next(bits for bits in _BITS if len(levels) <= 2**bits)
    entries = np.concatenate([levels, np.repeat(levels[-1:], 2**bits - len(levels))])
    numbers = indices.astype(types.nptype_from_builtin(_BITS[bits]))
    lut = entries.reshape([1] * indices.ndim + [2**bits, 1])
    return mb.constexpr_lut_to_dense(indices=numbers, lut=lut, before_op=op, name=op.name)


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
    """Whether an op takes a variable as one of its values, not as a weight or a parameter."""
    held = {
        name
        for name, value in user.inputs.items()
        if value is variable or (isinstance(value, (list, tuple)) and any(item is variable for item in value))
    }
    return user.op_type == "while_loop" or (bool(held) and held <= {"x", *OPERANDS.get(user.op_type, ())})
