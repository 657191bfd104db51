"""Resizing of the last dimensions.

Meaning: coremltools ``ops/defs/iOS15/image_resizing.py``, ``iOS16/`` and ``iOS17/image_resizing.py``. Where a nearest
neighbour falls between two pixels is not documented; it is taken as coremltools' converters need it: the upsampling
ops truncate the source coordinate, the resizing ops use half-pixel centres.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

import torch
from torch import Tensor
from torch.nn import functional as F

from palettune.device_bench.runtime.registry import kernel

__all__ = ["sample_points"]


def sample_points(begin: Tensor, end: Tensor, count: int, mode: str) -> Tensor:
    """Where ``count`` outputs sample the pixels ``begin`` to ``end`` (both in), shape [..., count].

    The five modes are those of ``resize_bilinear``, which has them from 0 to the size less one.
    """
    place = torch.arange(count, device=begin.device)
    span = (end - begin).unsqueeze(-1)
    begin = begin.unsqueeze(-1)
    if mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        if count == 1:
            return begin + (span / 2 if mode == "ALIGN_CORNERS" else span * 0)
        return begin + place * span / (count - 1)
    if mode == "OFFSET_CORNERS":
        return begin + (place + 0.5) * span.clamp(min=1) / count
    step = (span + 1) / count
    return begin + (place * step if mode == "DEFAULT" else (place + 0.5) * step - 0.5)


def _linear_along(x: Tensor, axis: int, size: int, mode: str) -> Tensor:
    """Linear interpolation of one dimension at the points of ``mode``."""
    last = x.shape[axis] - 1
    ends = torch.tensor([0.0, float(last)], device=x.device)
    points = sample_points(ends[0], ends[1], size, mode).clamp(0, last)
    low = points.floor().long()
    weight = (points - low).reshape([-1 if i == axis else 1 for i in range(x.dim())])
    below, above = x.index_select(axis, low), x.index_select(axis, (low + 1).clamp(max=last))
    return below + (above - below) * weight


def _nearest_along(x: Tensor, axis: int, size: int, half_pixel: bool) -> Tensor:
    place = torch.arange(size, device=x.device, dtype=torch.float64) + (0.5 if half_pixel else 0.0)
    source = (place * (x.shape[axis] / size)).floor().long()
    return x.index_select(axis, source.clamp(max=x.shape[axis] - 1))


def _bilinear(x: Tensor, height: int, width: int, mode: str) -> Tensor:
    """The last two dimensions resized; torch's own function where it means the same."""
    if mode in ("UNALIGN_CORNERS", "STRICT_ALIGN_CORNERS"):
        images = x.reshape(-1, 1, *x.shape[-2:]) if x.dim() != 4 else x
        resized = F.interpolate(images, (height, width), mode="bilinear", align_corners=mode != "UNALIGN_CORNERS")
        return resized.reshape(*x.shape[:-2], height, width)
    rank = x.dim()
    return _linear_along(_linear_along(x, rank - 2, height, mode), rank - 1, width, mode)


def _scaled(x: Tensor, height: float, width: float) -> tuple[int, int]:
    return floor(x.shape[-2] * height), floor(x.shape[-1] * width)


@kernel("upsample_bilinear")
def upsample_bilinear(
    x: Tensor,
    *,
    scale_factor_height: float,
    scale_factor_width: float,
    align_corners: bool,
    half_pixel_centers: bool | None = None,
) -> Tensor:
    """The last two dimensions times the factors, rounded down, by bilinear interpolation over the resulting size."""
    height, width = _scaled(x, scale_factor_height, scale_factor_width)
    if align_corners:
        return _bilinear(x, height, width, "STRICT_ALIGN_CORNERS")
    return _bilinear(x, height, width, "DEFAULT" if half_pixel_centers is False else "UNALIGN_CORNERS")


@kernel("upsample_nearest_neighbor")
def upsample_nearest_neighbor(x: Tensor, *, scale_factor_height: float, scale_factor_width: float) -> Tensor:
    """The last two dimensions times the factors, rounded down, each output taking one input."""
    height, width = _scaled(x, scale_factor_height, scale_factor_width)
    return _nearest_along(_nearest_along(x, x.dim() - 2, height, False), x.dim() - 1, width, False)


@kernel("resize_bilinear")
def resize_bilinear(x: Tensor, *, target_size_height: int, target_size_width: int, sampling_mode: str) -> Tensor:
    """The last two dimensions at the given size by bilinear interpolation."""
    return _bilinear(x, target_size_height, target_size_width, sampling_mode)


@kernel("resize_nearest_neighbor")
def resize_nearest_neighbor(x: Tensor, *, target_size_height: int, target_size_width: int) -> Tensor:
    """The last two dimensions at the given size, each output taking one input, pixels centred at halves."""
    rows = _nearest_along(x, x.dim() - 2, target_size_height, True)
    return _nearest_along(rows, x.dim() - 1, target_size_width, True)


@kernel("resize", since="iOS17")
def resize(
    x: Tensor, *, shape: Sequence[int], resized_dims: int, interpolation_mode: str, sampling_mode: str
) -> Tensor:
    """The last ``resized_dims`` dimensions at the last sizes of ``shape``; 0 keeps the size of ``x``."""
    for place in range(1, resized_dims + 1):
        axis, size = x.dim() - place, shape[-place] or x.shape[-place]
        if size == x.shape[axis]:
            continue
        linear = interpolation_mode == "LINEAR"
        x = _linear_along(x, axis, size, sampling_mode) if linear else _nearest_along(x, axis, size, True)
    return x
