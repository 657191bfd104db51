"""Ops that coremltools converts for some arguments alone: of one type, or counted from the front."""

from __future__ import annotations

from typing import Any

import numpy as np
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types

from palettune.device_bench.conversion.ops.converter import Converter, converter
from palettune.device_bench.library_internals import front_end_dtype, front_end_inputs, torch_converter

__all__: list[str] = []

_LOWEST, _HIGHEST = -1.0, 1.0
_FULL_LIKE, _ZEROS_LIKE = torch_converter("full_like"), torch_converter("zeros_like")


@converter()
def hardtanh(context: Any, node: Any) -> None:
    """``aten.hardtanh``: bounds that are whole numbers in the type of the input."""
    x, *bounds = front_end_inputs(context, node)
    low, high = (bounds[i].val if len(bounds) > i else default for i, default in enumerate((_LOWEST, _HIGHEST)))
    kind = types.nptype_from_builtin(x.dtype)
    context.add(mb.clip(x=x, alpha=kind(low), beta=kind(high), name=node.name))


@converter()
def outer(context: Any, node: Any) -> None:
    """``aten.outer``: vectors of two types, as a product that is broadcast."""
    x, y = _promoted(*front_end_inputs(context, node))
    rows, columns = mb.expand_dims(x=x, axes=[1]), mb.expand_dims(x=y, axes=[0])
    context.add(mb.mul(x=rows, y=columns, name=node.name))


@converter()
def alias(context: Any, node: Any) -> None:
    """``aten.alias``: the tensor itself."""
    context.add(mb.identity(x=front_end_inputs(context, node)[0], name=node.name))


@converter()
def cumsum(context: Any, node: Any) -> None:
    """``aten.cumsum``: ``x, axis, dtype``; the axis may count from the back, booleans are added as whole numbers."""
    x, axis = front_end_inputs(context, node)[:2]
    kind = front_end_dtype(context, node, 2) or ("int32" if types.is_bool(x.dtype) else None)
    x = x if kind in (None, types.builtin_to_string(x.dtype)) else mb.cast(x=x, dtype=kind)
    context.add(mb.cumsum(x=x, axis=int(axis.val) % x.rank, exclusive=False, reverse=False, name=node.name))


@converter()
def full_like(context: Any, node: Any) -> None:
    """``aten.full_like``: of another type than the tensor, which coremltools takes from the number."""
    _filled_like(context, node, _FULL_LIKE, front_end_inputs(context, node)[1].val, 2)


@converter()
def zeros_like(context: Any, node: Any) -> None:
    """``aten.zeros_like``, as ``full_like``."""
    _filled_like(context, node, _ZEROS_LIKE, 0, 1)


def _filled_like(context: Any, node: Any, known: Converter, value: Any, position: int) -> None:
    """Fill with a value; coremltools' own conversion where the type is that of the tensor."""
    x, kind = front_end_inputs(context, node)[0], front_end_dtype(context, node, position)
    own = types.builtin_to_string(x.dtype)
    if kind in (None, own) and (known is _ZEROS_LIKE or own == "fp32"):
        known(context, node)
        return
    typed = types.nptype_from_builtin(types.string_to_builtin(kind or own))(value)
    context.add(mb.fill(shape=mb.shape(x=x), value=typed, name=node.name))


def _promoted(x: Any, y: Any) -> tuple[Any, Any]:
    """Two variables in the type that holds the values of both."""
    kinds = [types.nptype_from_builtin(variable.dtype) for variable in (x, y)]
    if kinds[0] == kinds[1]:
        return x, y
    common = "fp32" if any(np.issubdtype(kind, np.floating) for kind in kinds) else "int32"
    return mb.cast(x=x, dtype=common), mb.cast(x=y, dtype=common)
