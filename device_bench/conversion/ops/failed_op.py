"""Reasons why a module does not convert: the op, the parameters it computes with, and its line of source.

torch.export notes for each op the lines of Python that called it; see
https://docs.pytorch.org/docs/stable/export.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from palettune.device_bench.conversion.front_end import export_refusal, words_of_line
from palettune.device_bench.library_internals import is_convertible

__all__ = ["FailedOp", "failure_words"]

_TORCH = str(Path(torch.__file__).parent)
_WRAPPED = "model."
_NAMED = 3
#: Axes that a tensor of Core ML may have.
_AXES = 5


@dataclass(frozen=True)
class FailedOp:
    """An op that does not convert.

    Attributes:
        kind: as torch spells it, such as ``aten.lgamma.default``.
        where: the user's line that called it, such as ``net.py:12 (`return torch.lgamma(x)`)``; empty if not known.
        parameters: dotted names of the parameters and buffers that it computes with.
    """

    kind: str
    where: str
    parameters: tuple[str, ...]

    def __str__(self) -> str:
        at = f" at {self.where}" if self.where else ""
        named = ", ".join(map(repr, self.parameters[:_NAMED]))
        return f"op {self.kind}{at}" + (f", with {named}" if named else "")

    @classmethod
    def of(cls, node: Any, program: Any) -> FailedOp:
        """Read a node of an exported program."""
        signature = program.graph_signature
        names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        found = [names[name].removeprefix(_WRAPPED) for name in _constants(node) if name in names]
        return cls(
            str(node.target), words_of_line(node.meta.get("source") or "", without=_TORCH), tuple(dict.fromkeys(found))
        )


def failure_words(error: Exception, program: Any, failed: Iterable[Any] = ()) -> str:
    """Return in one line why a front end failed.

    Args:
        error: what it raised.
        program: what it was given: an exported program, a traced module, or None where there is none yet.
        failed: the node of the front end at which it failed, if it was at one.
    """
    if not isinstance(program, torch.export.ExportedProgram):
        kinds = [node.kind for node in failed]
        return f"{f'op {kinds[0]}: ' if kinds else ''}{export_refusal(error)}"
    nodes = {node.name: node for node in program.graph.nodes}
    lacking = [node for node in nodes.values() if node.op == "call_function" and not is_convertible(node)]
    if lacking:
        ops = list(dict.fromkeys(str(FailedOp.of(node, program)) for node in lacking))
        more = f" and {len(ops) - _NAMED} more" if len(ops) > _NAMED else ""
        return f"coremltools has no conversion of {'; '.join(ops[:_NAMED])}{more}"
    if f"rank <= {_AXES}" in str(error):
        return _too_many_axes(nodes.values(), program) or export_refusal(error)
    at = [FailedOp.of(nodes[node.name], program) for node in failed if node.name in nodes]
    return f"{at[0]}: {export_refusal(error)}" if at else export_refusal(error)


def _too_many_axes(nodes: Iterable[Any], program: Any) -> str | None:
    """Words for the first tensor that has more axes than Core ML allows."""
    for node in nodes:
        value = node.meta.get("val")
        if node.op == "call_function" and isinstance(value, torch.Tensor) and value.ndim > _AXES:
            return (
                f"{FailedOp.of(node, program)}: it makes a tensor of {value.ndim} axes {tuple(value.shape)}, and Core ML "
                f"has at most {_AXES}: leave an axis of length 1 out, or compute with two axes as one"
            )
    return None


def _constants(node: Any) -> Iterator[str]:
    """Names of the placeholders that an op computes with, those of weights made of them included."""
    for given in node.all_input_nodes:
        if given.op == "placeholder":
            yield given.name
        elif _is_constant(given):
            yield from _constants(given)


def _is_constant(node: Any) -> bool:
    """Whether a node is computed from parameters alone: the names of the user's inputs do not begin as theirs do."""
    if node.op == "placeholder":
        return str(node.name).startswith(("p_", "b_", "c_"))
    return bool(node.all_input_nodes) and all(_is_constant(given) for given in node.all_input_nodes)
