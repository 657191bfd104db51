"""Registration of a function that adds the MIL ops of one operation of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from coremltools.converters.mil import register_torch_op

__all__ = ["converter"]

#: Gets what the front end has made so far and the node, and adds what it makes of it.
Converter = Callable[[Any, Any], None]


def converter(*kinds: str) -> Callable[[Converter], Converter]:
    """Register a function for the operation of its name, and for others, in place of what coremltools has.

    Args:
        kinds: such as ``lstm.input``: lower case, without ``aten`` and without ``default``.
    """

    def add(function: Converter) -> Converter:
        register_torch_op(function, torch_alias=list(kinds), override=True)
        return function

    return add
