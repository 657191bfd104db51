"""Weights among the operands of an op: which layer's they are, or how the program stores them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from palettune.device_bench.cost.op_node import OpNode, Shape
from palettune.device_bench.cost.operand_reader import OperandReader
from palettune.device_bench.package.package import PackageWeight
from palettune.device_bench.package.program_graph import RECURRENT_OPS, Operand
from palettune.device_bench.package.stored_weight import StoredWeight

__all__ = ["WeightOperand", "weight_operands"]

_OPERANDS = {
    "conv": ("weight",), "conv_transpose": ("weight",), "linear": ("weight",), "matmul": ("y", "x"),
    "einsum": ("values",), "gather": ("x",), "gather_along_axis": ("x",),
    **dict.fromkeys(RECURRENT_OPS, ("weight_ih", "weight_hh", "weight_ih_back", "weight_hh_back")),
}  # fmt: skip


@dataclass(frozen=True)
class WeightOperand:
    """A weight where an op reads it.

    Attributes:
        layer: the layer whose encoding it takes, or None.
        shape: output channels first.
        operand: the parameter that it is given for.
        position: among several values of that parameter.
        stored: how the program holds it; None for the weight of a model's layer.
        float_bits: of the floats that such a layer's program computes with.
    """

    layer: str | None
    shape: Shape
    operand: str
    position: int
    stored: StoredWeight | None
    float_bits: int = 16


def weight_operands(node: OpNode, operands: OperandReader) -> Iterator[WeightOperand]:
    """Yield the weights that an op reads: one, or all of a recurrent op's; none for an op that takes no weight."""
    for name in _OPERANDS.get(node.kind, ()):
        values = enumerate(node.operands.get(name, ()))
        found = [
            weight
            for position, value in values
            if (weight := _weight(node, operands, value, name, position)) is not None
        ]
        yield from found[:1]
        if found and node.kind not in RECURRENT_OPS:
            return


def _weight(node: OpNode, operands: OperandReader, value: Operand, name: str, position: int) -> WeightOperand | None:
    axis = _output_axis(node, name)
    layer = operands.layer(value)
    if layer is not None:
        return WeightOperand(layer.name, _output_first(layer.shape, axis), name, position, None, layer.float_bits)
    constant = operands.constant(value)
    if constant is None or len(constant.shape) < 2:
        return None
    shape = _output_first(constant.shape, axis)
    if isinstance(value, str) and value.startswith("const"):
        return WeightOperand(None, shape, name, position, constant.weight(axis))
    own = value.name if isinstance(value, PackageWeight) else ""
    return WeightOperand(own or f"{node.name}.{name}", shape, name, position, constant.weight(axis))


def _output_axis(node: OpNode, operand: str) -> int:
    """The axis of output channels: a matrix product's right operand lies input first, unless it is transposed."""
    if node.kind == "matmul":
        left = operand == "x"
        return -2 if left != node.is_true(f"transpose_{operand}") else -1
    return 1 if node.kind == "conv_transpose" else 0


def _output_first(shape: Shape, axis: int) -> Shape:
    """A shape with its axis of output channels before that of input channels."""
    if axis == -1:
        return (*shape[:-2], shape[-1], shape[-2])
    return (shape[1], shape[0], *shape[2:]) if axis == 1 else shape
