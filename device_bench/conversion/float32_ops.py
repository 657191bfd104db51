"""Ops that a conversion keeps in float32, chosen by module name, op name or op type.

coremltools asks a selector about each op before it casts it to fp16 (``ct.transform.FP16ComputePrecision``); see
https://apple.github.io/coremltools/docs-guides/source/typed-execution.html.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import coremltools as ct

from palettune.device_bench.conversion.neutral_pipeline import WEIGHT_OPERANDS
from palettune.device_bench.package.op_modules import enclosing, module_of, uncast_name, walked_ops
from palettune.space.errors import UserError, suggestion

__all__ = ["Float32Ops", "UnmatchedPatternError"]

_NAMED = 8


class UnmatchedPatternError(UserError):
    """A pattern for float32 ops that matches nothing in the program; the message names what there is."""


class Float32Ops:
    """Op selector for coremltools: every op becomes fp16 except those that match, with the ops that share their weights.

    A pattern (as of ``fnmatch``) is matched with the dotted names of an op's module and of the modules around it, with
    the op's name and with its type. An op that reads a weight of a matching op is kept with it, for a weight is stored
    once.

    Args:
        patterns: may be none.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = tuple(uncast_name(pattern) for pattern in patterns)
        self._unmatched = set(self._patterns)
        self._known: dict[int, Any] = {}
        self._kept: dict[int, Any] | None = None

    @property
    def precision(self) -> Any:
        """Value for the ``compute_precision`` of ``coremltools.convert``."""
        return ct.transform.FP16ComputePrecision(op_selector=self) if self._patterns else ct.precision.FLOAT16

    def __call__(self, op: Any) -> bool:
        """Return whether an op becomes fp16."""
        if self._kept is None:
            self._kept = self._found(_outermost(op.enclosing_block))
        return id(op) not in self._kept

    def check(self) -> None:
        """Raise UnmatchedPatternError for the first pattern that has matched nothing of the program."""
        for pattern in self._patterns:
            if pattern in self._unmatched:
                raise UnmatchedPatternError(f"{pattern!r} matches no module and no op; {self._there(pattern)}")

    def _found(self, function: Any) -> dict[int, Any]:
        ops = list(walked_ops(function))
        self._known = {id(op): op for op in ops}
        kept = {id(op): op for op in ops if op.op_type != "const" and self._matches(op)}
        for op in list(kept.values()):
            kept.update((id(other), other) for other in _sharers(op))
        for op in reversed(ops):  # what decodes a weight, from the consumer backwards
            if op.op_type.startswith("constexpr_") and any(id(c) in kept for out in op.outputs for c in out.child_ops):
                kept[id(op)] = op
        return kept

    def _matches(self, op: Any) -> bool:
        names = (*enclosing(module_of(op) or ""), op.name, op.op_type)
        matched = [p for p in self._patterns if any(fnmatch.fnmatchcase(name, p) for name in names)]
        self._unmatched.difference_update(matched)
        return bool(matched)

    def _there(self, pattern: str) -> str:
        ops = [op for op in self._known.values() if op.op_type != "const" and not op.op_type.startswith("constexpr_")]
        modules = list(dict.fromkeys(module for op in ops if (module := module_of(op))))
        types = sorted({op.op_type for op in ops})
        near = suggestion(pattern, [*modules, *(op.name for op in ops), *types])
        said = ", ".join(modules[:_NAMED]) + (" ..." if len(modules) > _NAMED else "")
        return f"modules are {said or 'not known'}; types are {', '.join(types)}{near}"


def _outermost(block: Any) -> Any:
    while getattr(block, "outer_op", None) is not None:
        block = block.outer_op.enclosing_block
    return block


def _sharers(op: Any) -> Iterator[Any]:
    """Ops that read a weight of this one as theirs."""
    for weight in _weights(op):
        for other in weight.child_ops:
            if any(weight is theirs for theirs in _weights(other)):
                yield other


def _weights(op: Any) -> Iterable[Any]:
    values = (op.inputs.get(name) for name in WEIGHT_OPERANDS.get(op.op_type, ()))
    return [v for v in values if v is not None and v.op is not None and _is_constant(v.op)]


def _is_constant(op: Any) -> bool:
    return bool(op.op_type == "const" or op.op_type.startswith("constexpr_"))
