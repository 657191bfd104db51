"""Compressible weights of a Core ML program with the ops that use them, and reasons for the others.

A weight is a constant that ops take as their weight, in the sense of the MIL op set
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html). Axes of output and input
channels are those that ``coremltools.optimize.coreml`` takes (``optimize/_utils.py``,
``select_input_output_channel_axis``). A large constant that an op takes as it is, such as one that is added, is a layer
too (``operand_ops``), whose axes are its first two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from palettune.device_bench.library_internals import should_use_weight_file
from palettune.device_bench.package.operand_ops import operand_refusal
from palettune.device_bench.package.other_constants import COMPRESSED_ALREADY, NO_VECTOR
from palettune.device_bench.package.program_graph import RECURRENT_OPS
from palettune.space.layer import LayerKind

__all__ = ["PackageWeightUse", "operations", "uncompressed_reasons", "weight_kind", "weight_uses"]

_CONV = (LayerKind.CONV1D, LayerKind.CONV2D, LayerKind.CONV3D)
_CONV_TRANSPOSE = (LayerKind.CONV_TRANSPOSE1D, LayerKind.CONV_TRANSPOSE2D, LayerKind.CONV_TRANSPOSE3D)
_LARGEST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class PackageWeightUse:
    """Use of a constant as the weight of one op.

    Attributes:
        constant: name of the constant in the program.
        op: the op, coremltools' own.
        operand: the parameter that takes the weight.
        activation: the parameter that takes what the weight works on; empty for an operand that is taken as it is.
        kind: what the op does with the weight.
        float_bits: of the constant, 16 or 32.
        positions: of the constant among several values of the parameter; empty where it takes one.
    """

    constant: str
    op: Any
    operand: str
    activation: str
    kind: LayerKind
    float_bits: int
    positions: tuple[int, ...] = ()


def operations(block: Any) -> Iterator[Any]:
    """Yield all ops of a MIL function or block, those of nested blocks before the op that holds them."""
    for op in block.operations:
        for inner in op.blocks:
            yield from operations(inner)
        yield op


def weight_uses(function: Any, operands: bool = True) -> dict[str, tuple[PackageWeightUse, ...]]:
    """Return the compressible weights of a MIL function by the constant's name, each with all of its uses.

    Args:
        function: coremltools' function.
        operands: whether large constants that ops take as they are count.
    """
    found = {}
    for op in operations(function):
        if op.op_type == "const" and _is_large_float(op.outputs[0].val) and _kept(op, function, operands) is None:
            found[op.outputs[0].name] = tuple(_uses(op))
    return found


def uncompressed_reasons(function: Any, operands: bool = True) -> dict[str, str]:
    """Return, by name, why the other constants of a weight file are not compressed; unused ones are left out."""
    reasons: dict[str, str] = {}
    for op in operations(function):
        variable = op.outputs[0] if op.outputs else None
        if variable is None or not variable.child_ops:
            continue
        if op.op_type.startswith("constexpr_"):
            if not all(child.op_type.startswith("constexpr_") for child in variable.child_ops):
                reasons[variable.name] = COMPRESSED_ALREADY
        elif op.op_type == "const" and not _feeds_constant(op) and _is_large_float(variable.val):
            reason = _kept(op, function, operands)
            if reason is not None:
                reasons[variable.name] = reason
    return reasons


def _is_large_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and bool(should_use_weight_file(value))


def _feeds_constant(op: Any) -> bool:
    return any(child.op_type.startswith("constexpr_") for child in op.outputs[0].child_ops)


def _kept(op: Any, function: Any, operands: bool) -> str | None:
    """Why a constant is no layer, in words that hold for all constants alike; None where it is one."""
    variable = op.outputs[0]
    if variable.rank < 2:
        return NO_VECTOR
    if not variable.child_ops or variable in function.outputs or _feeds_constant(op):
        return "not an operand of any op"
    taken = [(child, operand) for child in dict.fromkeys(variable.child_ops) for operand in _operands(child, variable)]
    for child, operand in taken:
        kind = weight_kind(child, operand, variable, operands)
        if not isinstance(kind, LayerKind):
            return kind
    if not taken:
        return "passed through by a control-flow op; not a weight operand"
    largest = float(np.abs(variable.val).max())
    if not largest <= _LARGEST_HALF:
        return f"largest value {largest:g}, beyond what fp16 holds"
    return None


def weight_kind(op: Any, operand: str, variable: Any, operands: bool = True) -> LayerKind | str:
    """Return what an op does with an operand as its weight; else why the operand is no weight of two or more axes.

    Args:
        op: a MIL op, coremltools' own.
        operand: name of its parameter.
        variable: what the op takes there.
        operands: whether a large constant that an op takes as it is counts as one.
    """
    works_on = _ROLES.get(op.op_type, {}).get(operand)
    kind = None if works_on is None else _kind(op, operand, variable)
    if kind is None:
        return _kind_of_operand(op, operand, variable, operands)
    assert works_on is not None
    return f"{op.op_type} has only constant operands" if op.inputs[works_on].val is not None else kind


def _kind_of_operand(op: Any, operand: str, variable: Any, operands: bool) -> LayerKind | str:
    refusal = operand_refusal(op.op_type, operand, variable.shape)
    if refusal is None and operands:
        constant = all(output.val is not None for output in op.outputs)
        return f"{op.op_type} has only constant operands" if constant else LayerKind.OPERAND
    if operand in _ROLES.get(op.op_type, {}):
        return f"a weight of rank {variable.rank} of {op.op_type}, which has no defined channel axes"
    return refusal if refusal is not None else f"operand {operand!r} of {op.op_type}, which is not a weight operand"


def _uses(op: Any) -> Iterator[PackageWeightUse]:
    variable = op.outputs[0]
    bits = 8 * variable.val.dtype.itemsize
    for child in dict.fromkeys(variable.child_ops):
        for operand in _operands(child, variable):
            kind = weight_kind(child, operand, variable)
            assert isinstance(kind, LayerKind)  # or else it is kept
            activation = "" if kind is LayerKind.OPERAND else _ROLES[child.op_type][operand]
            positions = _positions(child.inputs[operand], variable)
            yield PackageWeightUse(variable.name, child, operand, activation, kind, bits, positions)


def _positions(value: Any, variable: Any) -> tuple[int, ...]:
    """Where a variable is among several values; empty for a single one."""
    several = isinstance(value, (list, tuple))
    return tuple(index for index, item in enumerate(value) if item is variable) if several else ()


def _operands(op: Any, variable: Any) -> list[str]:
    """The parameters under which an op takes a variable."""
    return [
        name
        for name, value in op.inputs.items()
        if value is variable or (isinstance(value, (list, tuple)) and any(item is variable for item in value))
    ]


def _kind(op: Any, operand: str, variable: Any) -> LayerKind | None:
    return _KINDS[op.op_type](op, operand, variable.rank)


def _matmul(op: Any, operand: str, rank: int) -> LayerKind | None:
    """Rows are output channels where the matrix comes from the left, or is turned over from the right."""
    if rank != 2:
        return None
    transposed = bool((op.transpose_x if operand == "x" else op.transpose_y).val)
    return LayerKind.LINEAR if (operand == "x") != transposed else LayerKind.MATMUL


def _of_rank(kinds: tuple[LayerKind, ...], lowest: int) -> Callable[[Any, str, int], LayerKind | None]:
    def kind(op: Any, operand: str, rank: int) -> LayerKind | None:
        return kinds[rank - lowest] if lowest <= rank < lowest + len(kinds) else None

    return kind


_RECURRENT = ("weight_ih", "weight_hh", "weight_ih_back", "weight_hh_back")

#: By op, the operands that are weights, and for each the operand that it works on.
_ROLES: dict[str, dict[str, str]] = {
    "conv": {"weight": "x"},
    "conv_transpose": {"weight": "x"},
    "linear": {"weight": "x"},
    "matmul": {"x": "y", "y": "x"},
    "gather": {"x": "indices"},
    "gather_along_axis": {"x": "indices"},
    **{op: dict.fromkeys(_RECURRENT, "x") for op in RECURRENT_OPS},
}

_KINDS: dict[str, Callable[[Any, str, int], LayerKind | None]] = {
    "conv": _of_rank(_CONV, 3),
    "conv_transpose": _of_rank(_CONV_TRANSPOSE, 3),
    "linear": _of_rank((LayerKind.LINEAR,), 2),
    "matmul": _matmul,
    "gather": _of_rank((LayerKind.EMBEDDING,) * 3, 2),  # rows, matrices of a stack of experts, and so on
    "gather_along_axis": _of_rank((LayerKind.EMBEDDING,), 2),
    **dict.fromkeys(RECURRENT_OPS, _of_rank((LayerKind.RECURRENT,), 2)),
}
