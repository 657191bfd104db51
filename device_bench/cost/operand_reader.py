"""Operands of a program's ops: the op that computes each, its shape, and how it is stored where it is a constant."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from palettune.device_bench.cost.op_names import OF_CONSTANTS
from palettune.device_bench.cost.op_node import OpNode, Shape
from palettune.device_bench.package.package import PackageWeight
from palettune.device_bench.package.package_weights import StoredConstant, stored_constant
from palettune.device_bench.package.program_graph import Operand
from palettune.space.layer import Layer

__all__ = ["OperandReader", "layer_name"]

_OUTPUT = re.compile(r"output (\d+) of op (\d+)")
_CONSTANT = re.compile(r"const\w*\(\w+\[([\d, ]*)\]")
_LAYER, _INPUT = "weight of ", "input "


class OperandReader:
    """Reads what the operands of a program's nodes refer to.

    Args:
        nodes: the program; its constants as they are, or as words.
        layers: by name; their weights are operands by words.
        constants: how those are stored that are words, and no layer's.
    """

    def __init__(
        self, nodes: Sequence[OpNode], layers: Mapping[str, Layer], constants: Mapping[str, StoredConstant]
    ) -> None:
        self._nodes, self._layers, self._constants = nodes, layers, constants
        self._inputs = {
            name: node.output_shape(index)
            for node in nodes
            if node.kind == "function"
            for index, name in enumerate(node.operands)
        }

    def index(self, value: Operand) -> int | None:
        """Return the index of the node that computes a value; None where none does."""
        found = _OUTPUT.fullmatch(value) if isinstance(value, str) else None
        return None if found is None else int(found[2])

    def source(self, value: Operand) -> OpNode | None:
        """Return the node that computes a value; None where none does."""
        index = self.index(value)
        return None if index is None else self._nodes[index]

    def layer(self, value: Operand) -> Layer | None:
        """Return the layer whose weight a value is; None for any other value."""
        name = layer_name(value)
        return None if name is None else self._layers[name]

    def shape(self, value: Operand) -> Shape:
        """Return the shape of a value; empty for scalars and values of unknown kind."""
        if isinstance(value, PackageWeight):
            return value.shape
        if value in self._constants:
            return self._constants[value].shape
        if found := _OUTPUT.fullmatch(value):
            return self._nodes[int(found[2])].output_shape(int(found[1]))
        if value.startswith(_INPUT):
            return self._inputs[value.removeprefix(_INPUT)]
        layer = self.layer(value)
        return layer.shape if layer is not None else _shape_in_words(value)

    def elements(self, node: OpNode, weights: Collection[tuple[str, int]] = ()) -> int:
        """Count the activation elements that an op reads; ``weights`` are (operand, position) that are none."""
        return sum(
            math.prod(self.shape(value))
            for name, values in node.operands.items()
            for position, value in enumerate(values)
            if (name, position) not in weights and isinstance(value, str) and not value.startswith((_LAYER, "const"))
        )

    def activations(self, node: OpNode, weights: Collection[tuple[str, int]] = ()) -> list[str]:
        """Return the operands that are computed or are inputs; ``weights`` as for ``elements``."""
        return [
            value
            for name, values in node.operands.items()
            for position, value in enumerate(values)
            if (name, position) not in weights and isinstance(value, str) and value.startswith(("output ", _INPUT))
        ]

    def constant(self, value: Operand) -> StoredConstant | None:
        """Return how a constant is stored, also behind ops that move or decode it; None for any other value."""
        if isinstance(value, PackageWeight):
            return stored_constant(value)
        if value.startswith("const"):
            return self._constants.get(value)
        source = self.source(value)
        if source is None or source.kind not in OF_CONSTANTS:
            return None
        inner = self.constant(source.first_operand)
        return None if inner is None else _through(source, inner)


def layer_name(value: Operand) -> str | None:
    """Return the name of the layer whose weight an operand is; None for any other operand."""
    return value.removeprefix(_LAYER) if isinstance(value, str) and value.startswith(_LAYER) else None


def _through(node: OpNode, inner: StoredConstant) -> StoredConstant:
    """How a constant is stored as an op passes it on."""
    if node.kind == "dequantize":
        return replace(inner, scales=inner.scales or (1,) * len(inner.shape), in_rows=True)
    out = node.output_shape()
    if node.kind == "transpose" and out == inner.shape[::-1]:
        return inner.transposed()
    return replace(inner, shape=out, tables=(), scales=(1,) * len(out) if inner.scales else (), in_rows=True)


def _shape_in_words(word: str) -> Shape:
    found = _CONSTANT.match(word)
    return tuple(int(size) for size in found[1].split(",") if size.strip()) if found else ()
