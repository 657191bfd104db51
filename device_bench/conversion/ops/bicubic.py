"""Bicubic resizing, which MIL lacks: it is linear along each axis, so two products with constant matrices are exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from coremltools.converters.mil import Builder as mb
from numpy.typing import NDArray

from palettune.device_bench.conversion.ops.converter import converter
from palettune.device_bench.library_internals import front_end_inputs

__all__ = ["cubic_matrix"]


def cubic_matrix(before: int, after: int, align_corners: bool, scale: float | None) -> NDArray[np.float32]:
    """Return the matrix (after, before) that resizes one axis as torch does, from torch's own result on unit vectors.

    Args:
        before: length of the axis.
        after: length that it gets.
        align_corners: as of ``torch.nn.functional.interpolate``.
        scale: as given to torch, which computes positions from it; None to have it from the lengths.
    """
    units = torch.eye(before).reshape(1, before, before, 1)
    resize = torch.ops.aten.upsample_bicubic2d.default
    result: NDArray[np.float32] = resize(units, [after, 1], align_corners, scale, None)[0, :, :, 0].T.numpy()
    return np.ascontiguousarray(result)


@converter("upsample_bicubic2d.vec")
def upsample_bicubic2d(context: Any, node: Any) -> None:
    """``aten.upsample_bicubic2d``: ``x, size, align_corners, scales``, or one scale for each axis."""
    x, size, align_corners, *scales = front_end_inputs(context, node)
    given = _numbers(scales[0] if len(scales) == 1 else scales) or [None, None]
    before = [int(length) for length in x.shape[-2:]]
    sizes = [int(length or 0) for length in _numbers(size)]
    after = sizes or [int(before[axis] * float(given[axis] or 1)) for axis in (0, 1)]
    corners = bool(align_corners.val)
    rows, columns = (cubic_matrix(before[axis], after[axis], corners, given[axis]) for axis in (0, 1))
    resized = mb.matmul(x=mb.matmul(x=rows, y=x), y=columns, transpose_y=True, name=node.name)
    context.add(resized)


def _numbers(values: Any) -> list[float | None]:
    """Plain numbers of a list of variables, of a constant variable or of nothing."""
    if values is None:
        return []
    if isinstance(values, (list, tuple)):
        return [None if one is None or one.val is None else float(one.val) for one in values]
    return [float(one) for one in np.ravel(values.val)]
