"""From the nodes of a program to the ops that take time, in program order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from palettune.device_bench.cost.op import FP16_BYTES, CostOp, OpKind
from palettune.device_bench.cost.op_names import ACTIVATIONS, FREE, kind_of_op
from palettune.device_bench.cost.op_node import OpNode
from palettune.device_bench.cost.operand_reader import OperandReader
from palettune.device_bench.cost.rounded_activations import RoundedActivations
from palettune.device_bench.cost.weight_operands import WeightOperand, weight_operands
from palettune.device_bench.package.package_weights import StoredConstant
from palettune.device_bench.package.program_graph import RECURRENT_OPS
from palettune.space.layer import Layer

__all__ = ["OpReader"]

_GATHERS = frozenset({"gather", "gather_along_axis"})


class OpReader:
    """Turns nodes into ops, in order.

    Args:
        nodes: the program; its constants as they are, or as words.
        layers: by name; their weights are operands by words.
        constants: how those are stored that are words, and no layer's.
    """

    def __init__(
        self,
        nodes: Sequence[OpNode],
        layers: Mapping[str, Layer],
        constants: Mapping[str, StoredConstant] | None = None,
    ) -> None:
        self._nodes = nodes
        self._operands = OperandReader(nodes, layers, constants or {})
        self._rounded = RoundedActivations(self._operands)
        self._weighted: set[int] = set()

    def ops(self) -> Iterator[CostOp]:
        """Yield the ops that take time.

        Raises:
            ProgramOpsError: a dimension has no fixed size.
        """
        for index, node in enumerate(self._nodes):
            if node.kind in FREE or not node.types or self._is_fused(node):
                continue
            yield from map(_in_float32, self._op(index, node)) if node.computes_in_float32 else self._op(index, node)

    def _op(self, index: int, node: OpNode) -> Iterator[CostOp]:
        found = list(weight_operands(node, self._operands))
        if found:
            self._weighted.add(index)
            yield from self._weighted_ops(node, found)
        elif node.kind == "scaled_dot_product_attention":
            yield from self._attention(node)
        elif node.kind in ("matmul", "einsum"):
            yield self._matmul(node)
        else:
            read, written = self._operands.elements(node), node.output_elements
            matrix = math.prod(node.output_shape()[-2:]) * FP16_BYTES if node.kind == "softmax" else 0
            yield CostOp(
                node.name, kind_of_op(node.kind), 0, (), read * FP16_BYTES, written * FP16_BYTES, None, matrix,
                int8=self._rounded.enter(node),
            )  # fmt: skip

    def _weighted_ops(self, node: OpNode, found: Sequence[WeightOperand]) -> Iterator[CostOp]:
        """The op of a weight; a recurrent op stands once for each of its weights, and moves its activations once."""
        taken = {(weight.operand, weight.position) for weight in found}
        yield self._weighted_op(node, found[0], taken)
        if node.kind in RECURRENT_OPS:
            for weight in found[1:]:
                first = self._weighted_op(node, weight, taken)
                yield replace(first, name=f"{node.name}.{weight.operand}", read_bytes=0, written_bytes=0)

    def _weighted_op(self, node: OpNode, weight: WeightOperand, taken: set[tuple[str, int]]) -> CostOp:
        read, written = self._operands.elements(node, taken), node.output_elements
        if node.kind in _GATHERS:
            kind = OpKind.EMBEDDING if node.kind == "gather" else OpKind.HOST
            moved = written * FP16_BYTES
            return CostOp(
                node.name, kind, 0, weight.shape, moved, moved, weight.layer, stored=weight.stored,
                float_bits=weight.float_bits,
            )  # fmt: skip
        kind, macs = self._work(node, weight, read, written)
        return CostOp(
            node.name, kind, macs, weight.shape, read * FP16_BYTES, written * FP16_BYTES, weight.layer,
            int8=self._rounded.enter(node, taken), stored=weight.stored, float_bits=weight.float_bits,
        )  # fmt: skip

    def _work(self, node: OpNode, weight: WeightOperand, read: int, written: int) -> tuple[OpKind, int]:
        """Kind and multiply-accumulates of an op with a weight."""
        shape, elements = weight.shape, math.prod(weight.shape)
        if node.kind in RECURRENT_OPS:  # each step of each sequence uses the weight once
            return OpKind.RECURRENT, elements * max(1, math.prod(self._shape(node, "x")[:-1]))
        if node.kind == "conv":
            depthwise = shape[1] == 1 and self._shape(node, "x")[1] > 1
            return OpKind.DEPTHWISE if depthwise else OpKind.CONV, elements * (written // shape[0])
        if node.kind == "conv_transpose":
            return OpKind.CONV, elements * (read // shape[1])
        if node.kind == "einsum":
            return OpKind.LINEAR, elements * max(1, read // shape[1])
        return OpKind.LINEAR, written * shape[-1]

    def _matmul(self, node: OpNode) -> CostOp:
        out = node.output_shape()
        operands = [self._operands.shape(v) for name in ("x", "y", "values") for v in node.operands.get(name, ())]
        shared = operands[0][-1] if operands and operands[0] else 1
        if node.kind == "matmul" and node.is_true("transpose_x"):
            shared = operands[0][-2]
        matrix = max([math.prod(shape[-2:]) for shape in (*operands, out) if len(shape) > 1], default=0)
        return CostOp(
            node.name, OpKind.MATMUL, math.prod(out) * shared, (), sum(map(math.prod, operands)) * FP16_BYTES,
            math.prod(out) * FP16_BYTES, None, matrix * FP16_BYTES,
        )  # fmt: skip

    def _attention(self, node: OpNode) -> Iterator[CostOp]:
        out, query, key = node.output_shape(), self._shape(node, "query"), self._shape(node, "key")
        heads, length = math.prod(query[:-2]), key[-2]
        scores = heads * query[-2] * length * FP16_BYTES
        matrix = query[-2] * length * FP16_BYTES
        macs = heads * query[-2] * length
        inputs = (math.prod(query) + math.prod(key)) * FP16_BYTES
        rest = math.prod(out) * FP16_BYTES
        yield CostOp(f"{node.name}.scores", OpKind.MATMUL, macs * query[-1], (), inputs, scores, None, matrix)
        yield CostOp(f"{node.name}.softmax", OpKind.SOFTMAX, 0, (), scores, scores, None, matrix)
        yield CostOp(f"{node.name}.sum", OpKind.MATMUL, macs * out[-1], (), scores + rest, rest, None, matrix)

    def _shape(self, node: OpNode, operand: str) -> tuple[int, ...]:
        return self._operands.shape(node.operands[operand][0])

    def _is_fused(self, node: OpNode) -> bool:
        """An activation, or a scaling by constants, right behind a weighted op."""
        if node.kind not in ACTIVATIONS:
            return False
        index = self._operands.index(node.first_operand)
        while index is not None and self._nodes[index].kind in ("cast", "quantize", "dequantize"):
            index = self._operands.index(self._nodes[index].first_operand)
        return index in self._weighted


def _in_float32(op: CostOp) -> CostOp:
    """The same op on floats of twice the size."""
    return replace(
        op,
        float32=True,
        read_bytes=2 * op.read_bytes,
        written_bytes=2 * op.written_bytes,
        matrix_bytes=2 * op.matrix_bytes,
    )
