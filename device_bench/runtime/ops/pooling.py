"""Pooling. Meaning: coremltools ``ops/defs/iOS15/pool.py``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, prod

import torch
from torch import Tensor
from torch.nn import functional as F

from palettune.device_bench.runtime.ops.padding import spatial_padding, torch_padding
from palettune.device_bench.runtime.registry import kernel

_MAX: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}

Amounts = list[tuple[int, int]]


def _symmetric(amounts: Amounts, sizes: Sequence[int]) -> bool:
    """True when torch pads this way itself: the same on both sides, at most half the window."""
    return all(a == b and 2 * a <= size for (a, b), size in zip(amounts, sizes, strict=True))


@kernel("max_pool")
def max_pool(
    x: Tensor,
    *,
    kernel_sizes: Sequence[int],
    strides: Sequence[int],
    pad_type: str,
    pad: Sequence[int],
    ceil_mode: bool,
) -> Tensor:
    """Largest value of each window; padding never wins."""
    amounts = spatial_padding(pad_type, pad, x.shape[2:], kernel_sizes, strides)
    padding = [before for before, _ in amounts]
    if not _symmetric(amounts, kernel_sizes):
        x = F.pad(x, torch_padding(amounts), value=-inf)
        padding = [0] * len(kernel_sizes)
    return _MAX[len(kernel_sizes)](x, kernel_sizes, strides, padding, ceil_mode=ceil_mode)


@kernel("avg_pool")
def avg_pool(
    x: Tensor,
    *,
    kernel_sizes: Sequence[int],
    strides: Sequence[int],
    pad_type: str,
    pad: Sequence[int],
    exclude_padding_from_average: bool,
    ceil_mode: bool,
) -> Tensor:
    """Mean of each window, over the padding too unless it is excluded."""
    amounts = spatial_padding(pad_type, pad, x.shape[2:], kernel_sizes, strides)
    average = _AVERAGE[len(kernel_sizes)]
    if _symmetric(amounts, kernel_sizes):
        padding = [before for before, _ in amounts]
        return average(x, kernel_sizes, strides, padding, ceil_mode, not exclude_padding_from_average)
    padded = average(F.pad(x, torch_padding(amounts)), kernel_sizes, strides, 0, ceil_mode)
    if not exclude_padding_from_average:
        return padded
    inside = F.pad(x.new_ones((1, 1, *x.shape[2:])), torch_padding(amounts))
    return padded / average(inside, kernel_sizes, strides, 0, ceil_mode)


@kernel("l2_pool")
def l2_pool(
    x: Tensor,
    *,
    kernel_sizes: Sequence[int],
    strides: Sequence[int],
    pad_type: str,
    pad: Sequence[int],
    ceil_mode: bool,
) -> Tensor:
    """Square root of the sum of squares of each window."""
    padded = F.pad(x.square(), torch_padding(spatial_padding(pad_type, pad, x.shape[2:], kernel_sizes, strides)))
    return torch.sqrt(_AVERAGE[len(kernel_sizes)](padded, kernel_sizes, strides, 0, ceil_mode) * prod(kernel_sizes))
