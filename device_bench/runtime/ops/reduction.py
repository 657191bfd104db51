"""Reductions. Meaning: coremltools ``ops/defs/iOS15/reduction.py`` and ``iOS17/reduction.py``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from palettune.device_bench.runtime.registry import kernel

Axes = Sequence[int] | None


def _all(x: Tensor, axes: Axes) -> list[int]:
    return list(range(x.dim())) if axes is None else list(axes)


@kernel("reduce_sum")
def reduce_sum(x: Tensor, *, axes: Axes, keep_dims: bool) -> Tensor:
    """Sum over ``axes``."""
    return x.sum(_all(x, axes), keepdim=keep_dims)


@kernel("reduce_mean")
def reduce_mean(x: Tensor, *, axes: Axes, keep_dims: bool) -> Tensor:
    """Mean over ``axes``; of integers, without its fraction."""
    return x.float().mean(_all(x, axes), keepdim=keep_dims)


@kernel("reduce_max")
def reduce_max(x: Tensor, *, axes: Axes, keep_dims: bool) -> Tensor:
    """Largest value over ``axes``."""
    return x.amax(_all(x, axes), keepdim=keep_dims)


@kernel("reduce_min")
def reduce_min(x: Tensor, *, axes: Axes, keep_dims: bool) -> Tensor:
    """Smallest value over ``axes``."""
    return x.amin(_all(x, axes), keepdim=keep_dims)


@kernel("reduce_prod")
def reduce_prod(x: Tensor, *, axes: Axes, keep_dims: bool) -> Tensor:
    """Product over ``axes``."""
    for axis in sorted((axis % x.dim() for axis in _all(x, axes)), reverse=True):
        x = x.prod(axis, keepdim=keep_dims)
    return x


@kernel("reduce_l1_norm")
def reduce_l1_norm(x: Tensor, *, axes: Axes, keep_dims: bool) -> Tensor:
    """Sum of absolute values over ``axes``."""
    return x.abs().sum(_all(x, axes), keepdim=keep_dims)


@kernel("reduce_l2_norm")
def reduce_l2_norm(x: Tensor, *, axes: Axes, keep_dims: bool) -> Tensor:
    """Square root of the sum of squares over ``axes``."""
    return torch.sqrt(x.square().sum(_all(x, axes), keepdim=keep_dims))


@kernel("reduce_sum_square")
def reduce_sum_square(x: Tensor, *, axes: Axes, keep_dims: bool) -> Tensor:
    """Sum of squares over ``axes``."""
    return x.square().sum(_all(x, axes), keepdim=keep_dims)


@kernel("reduce_log_sum")
def reduce_log_sum(x: Tensor, *, axes: Axes, keep_dims: bool) -> Tensor:
    """Logarithm of the sum over ``axes``."""
    return torch.log(x.sum(_all(x, axes), keepdim=keep_dims))


@kernel("reduce_log_sum_exp")
def reduce_log_sum_exp(x: Tensor, *, axes: Axes, keep_dims: bool) -> Tensor:
    """Logarithm of the sum of exponentials over ``axes``."""
    return torch.logsumexp(x.float(), _all(x, axes), keepdim=keep_dims)


@kernel("reduce_argmax")
def reduce_argmax(x: Tensor, *, axis: int, keep_dims: bool, output_dtype: str | None = None) -> Tensor:
    """Index of the largest value along ``axis``."""
    return x.argmax(axis, keepdim=keep_dims)


@kernel("reduce_argmin")
def reduce_argmin(x: Tensor, *, axis: int, keep_dims: bool, output_dtype: str | None = None) -> Tensor:
    """Index of the smallest value along ``axis``."""
    return x.argmin(axis, keepdim=keep_dims)
