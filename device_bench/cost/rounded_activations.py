"""Activations that a program rounds to 8 bits, followed through the ops that only move them."""

from __future__ import annotations

from collections.abc import Collection

from palettune.device_bench.cost.op_names import PASSED_ON
from palettune.device_bench.cost.op_node import OpNode
from palettune.device_bench.cost.operand_reader import OperandReader

__all__ = ["RoundedActivations"]


class RoundedActivations:
    """Tells which ops of a program read 8-bit activations; each value is followed once.

    Args:
        operands: of the program's nodes.
    """

    def __init__(self, operands: OperandReader) -> None:
        self._operands = operands
        self._known: dict[str, bool] = {}

    def enter(self, node: OpNode, weights: Collection[tuple[str, int]] = ()) -> bool:
        """Return whether all activations that an op reads are 8-bit; of a weighted op, those of its operand ``x``.

        Args:
            node: the op.
            weights: (operand, position) of the weights that it reads.
        """
        values = self._operands.activations(node, weights)
        if weights:
            values = [str(value) for value in node.operands.get("x", ()) if value in values] or values
        return bool(values) and all(self._is_rounded(value) for value in values)

    def _is_rounded(self, value: str) -> bool:
        """Whether a value was quantized and dequantized, by its own op or ahead of ops that only move values."""
        if value not in self._known:
            found = self._operands.source(value)
            self._known[value] = found is not None and (found.kind == "dequantize" or self._is_moved(found))
        return self._known[value]

    def _is_moved(self, node: OpNode) -> bool:
        if node.kind not in PASSED_ON:
            return False
        values = [v for v in node.operands.get("values", node.operands.get("x", ())) if isinstance(v, str)]
        return bool(values) and all(self._is_rounded(value) for value in values)
