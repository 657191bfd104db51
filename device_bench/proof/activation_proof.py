"""Proof of 8-bit activations: a package rounds the inputs that it was asked to round."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from palettune.device_bench.conversion.base_program import WeightPlace
from palettune.device_bench.package.program_graph import ProgramNode
from palettune.space.configuration import Precision

__all__ = ["activation_failures"]

#: Ops that a converter puts between a layer and what enters it; they move values and change none.
_MOVES = frozenset({"cast", "expand_dims", "identity", "pad", "reshape", "slice_by_index", "squeeze", "transpose"})
_COMPUTED = re.compile(r"output 0 of op (\d+)")


def activation_failures(places: Iterable[WeightPlace], precision: Precision, nodes: Sequence[ProgramNode]) -> list[str]:
    """Return what is wrong with the activations of one layer; empty where its precision is fp16.

    Args:
        places: where the layer's weight is used.
        nodes: the ops of the package, up to where they match the model's.
    """
    if precision is not Precision.INT8:
        return []
    used = [place for place in places if place.node < len(nodes)]
    if not used:
        return ["activations in 8 bits were asked for, and no op takes the weight"]
    return [
        f"activations in 8 bits were asked for, and op {nodes[place.node].name!r} takes {entering(nodes, place)}"
        for place in used
        if entering(nodes, place) != "dequantize of quantize"
    ]


def entering(nodes: Sequence[ProgramNode], place: WeightPlace) -> str:
    """Return, in words, what enters an op beside a weight: op kinds back to the first that computes."""
    others = [
        value
        for name, values in nodes[place.node].operands.items()
        if name != place.operand
        for value in values
        if isinstance(value, str)
    ]
    found = _source(nodes, others[0] if others else "")
    if found is None:
        return "an input of the model"
    if found.kind != "dequantize":
        return f"what {found.kind!r} gives"
    before = _source(nodes, _first(found, "input"))
    return f"dequantize of {before.kind if before else 'an input'}"


def _source(nodes: Sequence[ProgramNode], value: str) -> ProgramNode | None:
    """The op that computes a value, past those that only move it."""
    while (match := _COMPUTED.fullmatch(value)) is not None:
        node = nodes[int(match[1])]
        if node.kind not in _MOVES:
            return node
        value = _first(node, "x")
    return None


def _first(node: ProgramNode, operand: str) -> str:
    values = node.operands.get(operand, ())
    return values[0] if values and isinstance(values[0], str) else ""
