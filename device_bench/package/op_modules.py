"""Map from the ops of a converted program to the torch modules that they come from.

coremltools keeps a scope beside each op. Of a traced graph that is the last name of each module called, which does not
tell ``encoder.layers.0`` from ``decoder.layers.0``; of an exported one, the lines of source. Both are given the dotted
name of the module before the conversion instead.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import coremltools as ct

from palettune.device_bench.library_internals import ScopeSource, mil_program, traced_nodes_changed

__all__ = [
    "enclosing",
    "mark_exported",
    "marked_traces",
    "module_of",
    "op_modules",
    "source_of",
    "uncast_name",
    "walked_ops",
]

#: Where the wrapper that is converted holds the module (``conversion.FlatOutputs``).
_WRAPPED = "model"
_TRACED = "__module."
_BEFORE_SOURCE = "\n"


def op_modules(model: ct.models.MLModel) -> dict[str, str]:
    """Return the dotted torch module name of each op, by op name, of a model just converted.

    Ops of the outermost module's own ``forward`` have the empty name. A model opened from disk has lost these names:
    the result is empty.
    """
    program = mil_program(model)
    functions = program.functions.values() if program is not None else ()
    found = {op.name: module_of(op) for function in functions for op in walked_ops(function) if op.op_type != "const"}
    return {name: module for name, module in found.items() if module is not None}


def module_of(op: Any) -> str | None:
    """Return the dotted name of the torch module that a MIL op comes from; None where it is unknown."""
    exported = op.scopes.get(ScopeSource.EXIR_STACK_TRACE)
    traced = op.scopes.get(ScopeSource.TORCHSCRIPT_MODULE_NAME)
    path: str | None = _parts(exported)[0] if exported else traced[0].replace("/", ".") if traced else None
    if path is None or path.split(".")[0] != _WRAPPED:
        return None
    return path.removeprefix(_WRAPPED).removeprefix(".").split("@")[0]  # a module called again is name@1


def source_of(op: Any) -> str:
    """Return the lines of Python that called a MIL op, as in a traceback; empty where torch.export noted none."""
    exported = op.scopes.get(ScopeSource.EXIR_STACK_TRACE)
    return _parts(exported)[1] if exported else ""


def _parts(scope: Sequence[str | None]) -> tuple[str, str]:
    """The module and the lines of source of an op's scope, as ``mark_exported`` has written them."""
    module, _, source = (scope[-1] or "").partition(_BEFORE_SOURCE)
    return module, source


def enclosing(module: str) -> tuple[str, ...]:
    """Return a module's own name and those of the modules around it, from the inside out."""
    parts = module.split(".") if module else []
    return tuple(".".join(parts[:count]) for count in range(len(parts), 0, -1))


def uncast_name(op: str) -> str:
    """Return the name that an op had before its conversion to fp16."""
    return op.removesuffix("_cast_fp16")


def mark_exported(program: Any) -> Any:
    """Put the name of each node's module before the lines of source, where coremltools looks for these alone.

    The lines stand under ``source``, too.
    """
    for node in program.graph.nodes:
        source = node.meta["source"] = node.meta.get("stack_trace")
        stack = node.meta.get("nn_module_stack")
        module = next(reversed(stack.values()))[0] if stack else ""
        node.meta["stack_trace"] = f"{module}{_BEFORE_SOURCE}{source or ''}"
    return program


@contextlib.contextmanager
def marked_traces() -> Iterator[None]:
    """Give coremltools the dotted name of each traced node's module as one scope, instead of class names."""

    def name_whole(node: Any, made: Any) -> None:
        path = node.scopeName().rpartition("/")[2]
        if path.startswith(_TRACED):
            made.model_hierarchy = path.removeprefix(_TRACED).replace(".", "/") + "(module)"

    with traced_nodes_changed(name_whole):
        yield


def walked_ops(block: Any) -> Iterator[Any]:
    """Yield the MIL ops of a block or function in program order, those of inner blocks after the op that holds them."""
    for op in block.operations:
        yield op
        for inner in op.blocks:
            yield from walked_ops(inner)
