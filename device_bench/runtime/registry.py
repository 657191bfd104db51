"""Registry of kernels: one small torch function for each op of the MIL op set.

A kernel's positional parameters are tensors (or lists of tensors); its keyword-only parameters are attributes, handed
over as plain Python values. Parameters carry the names of the op's inputs, as the MIL op documentation spells them:
https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import coremltools as ct

__all__ = ["Kernel", "find", "kernel", "register", "registered"]

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Kernel:
    """A torch function with the meaning of one MIL op.

    Attributes:
        op_type: the op, ``conv`` ...
        function: takes the tensors by position, the attributes by keyword.
        tensors: names of the op's inputs that are handed over as tensors, in order.
        attributes: names of the op's inputs that are handed over as Python values.
        since: the opset from which the op has this meaning.
        family: the file that the kernel stands in, as words.
    """

    op_type: str
    function: Callable[..., Any]
    tensors: tuple[str, ...]
    attributes: tuple[str, ...]
    since: ct.target
    family: str


_KERNELS: dict[str, list[Kernel]] = {}


def register(op_type: str, function: Callable[..., Any], tensors: Iterable[str], module: str) -> None:
    """Register a torch function of tensors alone as the kernel of ``op_type``; ``module`` names its family."""
    _add(Kernel(op_type, function, tuple(tensors), (), ct.target.iOS13, _family(module)))


def kernel(op_type: str, since: str = "iOS13") -> Callable[[Function], Function]:
    """Decorate a function as the kernel of ``op_type`` from the opset ``since`` on."""

    def decorate(function: Function) -> Function:
        parameters = inspect.signature(function).parameters.values()
        tensors = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)
        attributes = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        _add(Kernel(op_type, function, tensors, attributes, ct.target[since], _family(function.__module__)))
        return function

    return decorate


def find(op_type: str, opset: ct.target) -> Kernel | None:
    """Return the kernel of ``op_type`` in ``opset``; None without one."""
    candidates = [candidate for candidate in _KERNELS.get(op_type, []) if candidate.since <= opset]
    return max(candidates, key=lambda candidate: candidate.since, default=None)


def registered() -> dict[str, tuple[Kernel, ...]]:
    """Return every kernel by op type."""
    return {op_type: tuple(kernels) for op_type, kernels in _KERNELS.items()}


def _family(module: str) -> str:
    return module.rsplit(".", 1)[-1].replace("_", " ")


def _add(added: Kernel) -> None:
    known = _KERNELS.setdefault(added.op_type, [])
    if any(other.since == added.since for other in known):
        raise ValueError(f"op {added.op_type!r} already has a kernel from {added.since.name} on")
    known.append(added)
