"""An exported program in ops that coremltools converts, as far as torch can write others with them.

torch keeps a decomposition into simpler ops for most of its operations; only those of ops without a conversion are used,
so that all others stay as they are. See https://docs.pytorch.org/docs/stable/export.html#export-ir-decompositions.
"""

from __future__ import annotations

from typing import Any

import torch

from palettune.device_bench.library_internals import is_convertible

__all__ = ["decomposed"]

#: coremltools converts these without the type that they are asked for, where torch.export names it.
_WITHOUT_TYPE = frozenset({torch.ops.aten.new_zeros.default, torch.ops.aten.new_full.default})
#: A decomposition may use ops that need one again.
_ROUNDS = 4


def decomposed(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Return a program without training ops, in which ops that do not convert are decomposed where torch can."""
    program = program.run_decompositions({})
    table: Any = None
    for _ in range(_ROUNDS):
        lacking = _lacking(program)
        if not lacking:
            break
        table = torch.export.default_decompositions() if table is None else table
        known = {op: table[op] for op in lacking if op in table}
        if not known:
            break
        program = program.run_decompositions(known)
    return program


def _lacking(program: torch.export.ExportedProgram) -> list[Any]:
    """Ops that do not convert, each once, in the order of the graph."""
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    lacking = [node for node in calls if not is_convertible(node) or (node.target in _WITHOUT_TYPE and _typed(node))]
    return list(dict.fromkeys(node.target for node in lacking))


def _typed(node: Any) -> bool:
    """Whether the result has another type than the tensor it is made like."""
    return bool(node.meta["val"].dtype != node.args[0].meta["val"].dtype)
