"""Graph pass that gives every output of a program its own variable and name.

coremltools merges two outputs that are, or become, one variable, so that one of the names is lost.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from coremltools.converters.mil.mil import Builder as mb

from palettune.device_bench.library_internals import AbstractGraphPass, copy_scope, register_pass

__all__ = ["DISTINCT_OUTPUTS", "output_names"]

#: Pass that comes last, so that nothing takes its copies away again.
DISTINCT_OUTPUTS = "palettune::distinct_outputs"

_names: ContextVar[Sequence[str]] = ContextVar("names", default=())


@contextlib.contextmanager
def output_names(names: Sequence[str]) -> Iterator[None]:
    """Tell the graph pass the names of all outputs, in order, while a conversion runs."""
    token = _names.set(tuple(names))
    try:
        yield
    finally:
        _names.reset(token)


@register_pass(namespace="palettune", override=True)
class distinct_outputs(AbstractGraphPass):  # type: ignore[misc]  # coremltools registers it by this name
    """Graph pass: give every output its own variable and name, copying (``identity``) those that share one."""

    def apply(self, prog: Any) -> None:
        """Rename or copy the outputs of a MIL program's main function."""
        names = _names.get()
        function = prog.functions["main"]
        if len(names) != len(function.outputs) or [var.name for var in function.outputs] == list(names):
            return
        inputs: list[Any] = list(function.inputs.values())
        seen: list[Any] = []
        found: list[Any] = []
        with function:
            for name, var in zip(names, function.outputs, strict=True):
                if any(var is other for other in (*inputs, *seen)):
                    found.append(mb.identity(x=var, name=name))
                    copy_scope(function, var, found[-1])
                    continue
                var.name = name
                seen.append(var)
                found.append(var)
        function.set_outputs(found)
