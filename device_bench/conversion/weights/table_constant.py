"""Constants that no graph pass computes with: tables of two entries, an eighth of a byte or a byte a value."""

from __future__ import annotations

from typing import Any

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from palettune.device_bench.library_internals import opset_has

__all__ = ["table_constant"]


def table_constant(shape: tuple[int, ...], table: np.ndarray[Any, Any], name: str, before_op: Any) -> Any:
    """Return a variable of a table of two entries whose indices are all zero, made before an op of the function.

    Args:
        shape: of the variable.
        table: the entries, float32.
    """
    if opset_has(ct.target.iOS18):
        indices = np.zeros(shape, types.nptype_from_builtin(types.uint1))
        rest = {"lut": table.reshape([1] * len(shape) + [2, 1])}
    else:
        indices = np.zeros(-(-int(np.prod(shape)) // 8), np.uint8)
        rest = {"lut": table, "shape": np.array(shape, np.uint32)}
    return mb.constexpr_lut_to_dense(indices=indices, **rest, before_op=before_op, name=name)
