"""Slices. Meaning: coremltools ``ops/defs/iOS15/tensor_transformation.py`` and ``iOS18/tensor_transformation.py``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from palettune.device_bench.runtime.registry import kernel

Mask = Sequence[bool] | None
Index = tuple[int | slice | Tensor, ...]


def _ranges(
    x: Tensor, begin: Sequence[int], end: Sequence[int], stride: Sequence[int] | None, masks: list[Mask]
) -> list[slice | int]:
    """For each dimension a slice, or the integer that takes the dimension away."""
    begin_mask, end_mask, squeeze_mask = masks
    ranges: list[slice | int] = []
    for axis in range(x.dim()):
        first = None if begin_mask is not None and begin_mask[axis] else begin[axis]
        if squeeze_mask is not None and squeeze_mask[axis]:
            ranges.append(first or 0)
            continue
        last = None if end_mask is not None and end_mask[axis] else end[axis]
        ranges.append(slice(first, last, 1 if stride is None else stride[axis]))
    return ranges


@kernel("slice_by_index")
def slice_by_index(
    x: Tensor,
    *,
    begin: Sequence[int],
    end: Sequence[int],
    stride: Sequence[int] | None,
    begin_mask: Mask,
    end_mask: Mask,
    squeeze_mask: Mask,
) -> Tensor:
    """``x[begin:end:stride, ...]`` as NumPy reads it; masks stand for an omitted begin, end, or a plain index."""
    ranges = _ranges(x, begin, end, stride, [begin_mask, end_mask, squeeze_mask])
    for axis, part in enumerate(ranges):
        # torch takes no negative step: reverse the dimension and mirror the slice.
        if isinstance(part, slice) and part.step < 0:
            places = torch.arange(x.shape[axis], device=x.device)[list(range(*part.indices(x.shape[axis])))]
            x, ranges[axis] = x.index_select(axis, places), slice(None)
    return x[tuple(ranges)]


@kernel("slice_by_size")
def slice_by_size(x: Tensor, *, begin: Sequence[int], size: Sequence[int]) -> Tensor:
    """``size`` elements from ``begin`` on in each dimension; -1 takes all that are left."""
    first = [b + n if b < 0 else b for b, n in zip(begin, x.shape, strict=True)]
    return x[tuple(slice(b, None if s == -1 else b + s) for b, s in zip(first, size, strict=True))]


@kernel("crop")
def crop(x: Tensor, *, crop_height: Sequence[int], crop_width: Sequence[int]) -> Tensor:
    """[B, C, H, W] without the given numbers of rows (top, bottom) and columns (left, right)."""
    (top, bottom), (left, right) = crop_height, crop_width
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


@kernel("slice_update", since="iOS18")
def slice_update(
    x: Tensor,
    update: Tensor,
    *,
    begin: Sequence[int],
    end: Sequence[int],
    stride: Sequence[int] | None,
    begin_mask: Mask,
    end_mask: Mask,
    squeeze_mask: Mask,
) -> Tensor:
    """``x`` with ``update`` in the place of the slice that ``slice_by_index`` would take."""
    ranges = _ranges(x, begin, end, stride, [begin_mask, end_mask, squeeze_mask])
    places = torch.arange(x.numel(), device=x.device).reshape(x.shape)
    masks: dict[str, Mask] = {"begin_mask": begin_mask, "end_mask": end_mask, "squeeze_mask": squeeze_mask}
    if all(not isinstance(part, slice) or part.step > 0 for part in ranges):
        taken = places[tuple(ranges)]
    else:
        taken = slice_by_index(places, begin=begin, end=end, stride=stride, **masks)
    return x.flatten().scatter(0, taken.flatten(), update.flatten()).reshape(x.shape)
