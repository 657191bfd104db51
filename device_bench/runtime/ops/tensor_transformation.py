"""Shapes and layouts.

Meaning: coremltools ``ops/defs/iOS15/tensor_transformation.py`` and ``tensor_operation.py``, ``iOS16/`` and ``iOS17/``.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from palettune.device_bench.runtime.registry import kernel


@kernel("identity")
def identity(x: Any) -> Any:
    """``x`` itself."""
    return x


@kernel("reshape")
def reshape(x: Tensor, *, shape: Sequence[int]) -> Tensor:
    """``x`` in another shape: -1 is inferred, 0 is the size of ``x`` at the same place counted from the right."""
    offset = x.dim() - len(shape)
    sizes = [s or (x.shape[i + offset] if i + offset >= 0 else 1) for i, s in enumerate(shape)]
    return x.reshape(sizes)


@kernel("reshape_like", since="iOS16")
def reshape_like(
    x: Tensor, ref_tensors: list[Tensor], *, begins: Sequence[int], ends: Sequence[int], end_masks: Sequence[bool]
) -> Tensor:
    """``x`` in the shape made of parts of the references' shapes."""
    sizes: list[int] = []
    for reference, begin, end, to_end in zip(ref_tensors, begins, ends, end_masks, strict=True):
        sizes.extend(reference.shape[begin:] if to_end else reference.shape[begin:end])
    return x.reshape(sizes)


@kernel("expand_dims")
def expand_dims(x: Tensor, *, axes: Sequence[int]) -> Tensor:
    """``x`` with a dimension of size 1 at each place of the result that ``axes`` names."""
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


@kernel("squeeze")
def squeeze(x: Tensor, *, axes: Sequence[int] | None) -> Tensor:
    """``x`` without the named dimensions of size 1; a larger one stays, as in torch."""
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


@kernel("transpose")
def transpose(x: Tensor, *, perm: Sequence[int]) -> Tensor:
    """Dimensions reordered."""
    return x.permute(tuple(perm))


@kernel("flatten2d")
def flatten2d(x: Tensor, *, axis: int) -> Tensor:
    """Two dimensions: those before ``axis``, and the rest."""
    return x.reshape(prod(x.shape[:axis]), -1)


@kernel("concat")
def concat(values: list[Tensor], *, axis: int, interleave: bool) -> Tensor:
    """Tensors one after the other along ``axis``, or one slice of each in turn."""
    if values[0].dim() == 0:
        return torch.stack(values)
    if not interleave:
        return torch.cat(values, axis)
    axis = axis % values[0].dim()
    return torch.stack(values, axis + 1).flatten(axis, axis + 1)


@kernel("stack")
def stack(values: list[Tensor], *, axis: int) -> Tensor:
    """Tensors along a new axis."""
    return torch.stack(values, axis)


@kernel("split")
def split(x: Tensor, *, num_splits: int | None, split_sizes: Sequence[int] | None, axis: int) -> tuple[Tensor, ...]:
    """Parts along ``axis``, of the given sizes or equal."""
    if split_sizes is None:
        if num_splits is None:
            raise ValueError("split needs num_splits or split_sizes")
        return torch.split(x, x.shape[axis] // num_splits, axis)
    return torch.split(x, list(split_sizes), axis)


@kernel("tile")
def tile(x: Tensor, *, reps: Sequence[int]) -> Tensor:
    """``x`` repeated along each dimension."""
    return x.repeat(tuple(reps))


@kernel("pad")
def pad(x: Tensor, *, pad: Sequence[int], mode: str, constant_val: float) -> Tensor:
    """The last dimensions padded with a constant, their reflection without the edge, or their edge."""
    axes = range(x.dim() - len(pad) // 2, x.dim())
    amounts = list(zip(axes, pad[::2], pad[1::2], strict=True))
    if mode == "constant":
        return F.pad(x, [n for _, before, after in reversed(amounts) for n in (before, after)], value=constant_val)
    for axis, before, after in amounts:
        if before or after:
            places = torch.arange(-before, x.shape[axis] + after, device=x.device)
            last = x.shape[axis] - 1
            places = last - (last - places.abs()).abs() if mode == "reflect" else places.clamp(0, last)
            x = x.index_select(axis, places)
    return x


@kernel("reverse")
def reverse(x: Tensor, *, axes: Sequence[int] | None) -> Tensor:
    """Elements in the opposite order along ``axes``, all by default."""
    return x.flip(list(range(x.dim())) if axes is None else list(axes))


@kernel("reverse_sequence")
def reverse_sequence(x: Tensor, lengths: Tensor, *, seq_axis: int, batch_axis: int) -> Tensor:
    """The first ``lengths[i]`` elements of each sequence in the opposite order."""
    seq_axis, batch_axis = seq_axis % x.dim(), batch_axis % x.dim()
    along = [[-1 if i == axis else 1 for i in range(x.dim())] for axis in (seq_axis, batch_axis)]
    place = torch.arange(x.shape[seq_axis], device=x.device).reshape(along[0])
    length = lengths.long().reshape(along[1])
    return torch.gather(x, seq_axis, torch.where(place < length, length - 1 - place, place).expand(x.shape))


@kernel("sliding_windows")
def sliding_windows(x: Tensor, *, axis: int, size: int, stride: int) -> Tensor:
    """All windows along ``axis``; the window is a new dimension after it."""
    axis = axis % x.dim()
    return x.unfold(axis, size, stride).movedim(-1, axis + 1)


@kernel("band_part")
def band_part(x: Tensor, *, lower: int, upper: int) -> Tensor:
    """``x`` with zeros off the band of ``lower`` diagonals below and ``upper`` above; negative keeps all."""
    rows = torch.arange(x.shape[-2], device=x.device)[:, None]
    columns = torch.arange(x.shape[-1], device=x.device)
    inside = (lower < 0) | (rows - columns <= lower)
    inside = inside & ((upper < 0) | (columns - rows <= upper))
    return torch.where(inside, x, torch.zeros_like(x))


@kernel("pixel_shuffle")
def pixel_shuffle(x: Tensor, *, upscale_factor: int) -> Tensor:
    """[n, C f f, H, W] to [n, C, H f, W f], as torch does."""
    return F.pixel_shuffle(x, upscale_factor)


@kernel("pixel_unshuffle", since="iOS16")
def pixel_unshuffle(x: Tensor, *, downscale_factor: int) -> Tensor:
    """[n, C, H f, W f] to [n, C f f, H, W], as torch does."""
    return F.pixel_unshuffle(x, downscale_factor)


@kernel("depth_to_space")
def depth_to_space(x: Tensor, *, block_size: int) -> Tensor:
    """[n, C b b, H, W] to [n, C, H b, W b] with the block's place in the channel's high part, as TensorFlow does."""
    n, c, h, w = x.shape
    blocks = x.reshape(n, block_size, block_size, c // block_size**2, h, w)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(n, -1, h * block_size, w * block_size)


@kernel("space_to_depth")
def space_to_depth(x: Tensor, *, block_size: int) -> Tensor:
    """[n, C, H b, W b] to [n, C b b, H, W], the inverse of ``depth_to_space``."""
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // block_size, block_size, w // block_size, block_size)
    return blocks.permute(0, 3, 5, 1, 2, 4).reshape(n, -1, h // block_size, w // block_size)


@kernel("space_to_batch")
def space_to_batch(x: Tensor, *, block_shape: Sequence[int], paddings: Sequence[Sequence[int]]) -> Tensor:
    """Spatial blocks of [n, C, H, W] moved to the batch, the block's place in its high part, after padding."""
    (top, bottom), (left, right) = paddings
    x = F.pad(x, [left, right, top, bottom])
    n, c, h, w = x.shape
    high, wide = block_shape
    blocks = x.reshape(n, c, h // high, high, w // wide, wide)
    return blocks.permute(3, 5, 0, 1, 2, 4).reshape(-1, c, h // high, w // wide)


@kernel("batch_to_space")
def batch_to_space(x: Tensor, *, block_shape: Sequence[int], crops: Sequence[Sequence[int]]) -> Tensor:
    """The inverse of ``space_to_batch``, then cropped."""
    n, c, h, w = x.shape
    high, wide = block_shape
    blocks = x.reshape(high, wide, n // (high * wide), c, h, w)
    whole = blocks.permute(2, 3, 4, 0, 5, 1).reshape(-1, c, h * high, w * wide)
    (top, bottom), (left, right) = crops
    return whole[:, :, top : h * high - bottom, left : w * wide - right]
