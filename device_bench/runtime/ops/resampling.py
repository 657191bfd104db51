"""Sampling an image at coordinates.

Meaning: coremltools ``ops/defs/iOS15/image_resizing.py``, ``iOS16/`` and ``iOS17/image_resizing.py``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from palettune.device_bench.runtime.ops.resizing import sample_points
from palettune.device_bench.runtime.registry import kernel

_TORCH_PADDING = {"constant": "zeros", "border": "border", "reflection": "reflection", "symmetric": "reflection"}


def _pixels(coordinates: Tensor, size: int, mode: str, align_corners: bool) -> Tensor:
    """Coordinates along one axis, in pixels from the centre of the first one."""
    if mode == "unnormalized":
        return coordinates
    unit = (coordinates + 1) / 2 if mode == "normalized_minus_one_to_one" else coordinates
    return unit * (size - 1) if align_corners else unit * size - 0.5


def _sample(x: Tensor, pixels: Tensor, mode: str, padding: str, value: float) -> Tensor:
    """``x`` at [B, H, W, 2] coordinates (x, y) in pixels."""
    sizes = torch.tensor([x.shape[-1], x.shape[-2]], device=x.device, dtype=x.dtype)
    # torch mirrors about the centres of the border pixels when corners are aligned, about their edges otherwise.
    aligned = padding == "reflection"
    grid = pixels * 2 / (sizes - 1).clamp(min=1) - 1 if aligned else (pixels * 2 + 1) / sizes - 1
    shifted = x - value if padding == "constant" and value else x
    sampled = F.grid_sample(shifted, grid, mode, _TORCH_PADDING[padding], align_corners=aligned)
    return sampled + value if padding == "constant" and value else sampled


@kernel("resample", since="iOS15")
def resample(
    x: Tensor,
    coordinates: Tensor,
    *,
    sampling_mode: str,
    padding_mode: str,
    padding_value: float,
    coordinates_mode: str,
    align_corners: bool,
) -> Tensor:
    """``x`` [B, C, H1, W1] at coordinates [B, H2, W2, 2] given as (x, y)."""
    across = _pixels(coordinates[..., 0].to(x.dtype), x.shape[-1], coordinates_mode, align_corners)
    down = _pixels(coordinates[..., 1].to(x.dtype), x.shape[-2], coordinates_mode, align_corners)
    return _sample(x, torch.stack((across, down), -1), sampling_mode, padding_mode, padding_value)


@kernel("affine", since="iOS15")
def affine(
    x: Tensor,
    transform_matrix: Tensor,
    *,
    output_height: int,
    output_width: int,
    sampling_mode: str,
    padding_mode: str,
    padding_value: float,
    coordinates_mode: str,
    align_corners: bool,
) -> Tensor:
    """``x`` [B, C, H, W] at the affine image [D, 6] of the output's coordinates, D being B or 1."""
    matrix = transform_matrix.reshape(-1, 2, 3).expand(x.shape[0], 2, 3)
    grid = F.affine_grid(matrix, [x.shape[0], x.shape[1], output_height, output_width], align_corners=align_corners)
    across = _pixels(grid[..., 0], x.shape[-1], coordinates_mode, align_corners)
    down = _pixels(grid[..., 1], x.shape[-2], coordinates_mode, align_corners)
    return _sample(x, torch.stack((across, down), -1), sampling_mode, padding_mode, padding_value)


def _corners(boxes: Tensor, mode: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """First row, first column, last row, last column of [N, 4] boxes."""
    one, two, three, four = boxes.unbind(-1)
    if mode.endswith("WIDTH_FIRST"):
        one, two, three, four = two, one, four, three
    if mode.startswith("CENTER_SIZE"):
        return one - three / 2, two - four / 2, one + three / 2, two + four / 2
    return one, two, three, four


def _crop(
    images: Tensor,
    boxes: Tensor,
    size: tuple[int, int],
    normalized: bool,
    scale: float,
    box_mode: str,
    mode: str,
    value: float,
) -> Tensor:
    """One crop [C, *size] of each of N images for its box; points off the image are ``value``, as in tf.image."""
    height, width = images.shape[-2:]
    top, left, bottom, right = (edge * scale for edge in _corners(boxes.to(images.dtype), box_mode))
    if normalized:
        top, bottom = top * (height - 1), bottom * (height - 1)
        left, right = left * (width - 1), right * (width - 1)
    down, across = sample_points(top, bottom, size[0], mode), sample_points(left, right, size[1], mode)
    # Sampling at pixel centres may reach half a pixel beyond an image that the box stays within.
    reach = 0.5 if mode == "UNALIGN_CORNERS" else 1e-4
    outside_rows = (down < -reach) | (down > height - 1 + reach)
    outside_columns = (across < -reach) | (across > width - 1 + reach)
    pixels = torch.stack(
        (
            across.clamp(0, width - 1)[:, None, :].expand(-1, size[0], -1),
            down.clamp(0, height - 1)[:, :, None].expand(-1, -1, size[1]),
        ),
        -1,
    )
    crops = _sample(images, pixels, "bilinear", "border", 0.0)
    outside = outside_rows[:, None, :, None] | outside_columns[:, None, None, :]
    return torch.where(outside, torch.full_like(crops, value), crops)


@kernel("crop_resize")
def crop_resize(
    x: Tensor,
    roi: Tensor,
    *,
    target_height: int,
    target_width: int,
    normalized_coordinates: bool,
    spatial_scale: float,
    box_coordinate_mode: str,
    sampling_mode: str,
    pad_value: float = 0.0,
) -> Tensor:
    """Crops of every image, [N, B, C, h, w], for boxes [N, 1, 4, 1, 1]; of one image where a number before names it."""
    boxes = roi.reshape(roi.shape[0], -1)
    size = (target_height, target_width)
    settings = (size, normalized_coordinates, spatial_scale, box_coordinate_mode, sampling_mode, pad_value)
    if boxes.shape[1] == 5:
        return _crop(x.index_select(0, boxes[:, 0].long()), boxes[:, 1:], *settings).unsqueeze(1)
    count, batch = boxes.shape[0], x.shape[0]
    images = x.repeat(count, 1, 1, 1)
    crops = _crop(images, boxes.repeat_interleave(batch, 0), *settings)
    return crops.reshape(count, batch, *crops.shape[1:])


@kernel("crop_resize", since="iOS17")
def crop_resize_ios17(
    x: Tensor,
    boxes: Tensor,
    box_indices: Tensor,
    *,
    target_height: int,
    target_width: int,
    normalized_coordinates: bool,
    spatial_scale: float,
    box_coordinate_mode: str,
    sampling_mode: str,
    pad_value: float,
) -> Tensor:
    """Crops [N, C, h, w] for boxes [N, 4], each of the image that ``box_indices`` names."""
    size = (target_height, target_width)
    settings = (size, normalized_coordinates, spatial_scale, box_coordinate_mode, sampling_mode, pad_value)
    return _crop(x.index_select(0, box_indices.long()), boxes, *settings)
