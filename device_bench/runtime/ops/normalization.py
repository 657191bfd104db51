"""Normalizations. Meaning: coremltools ``ops/defs/iOS15/normalization.py`` and ``iOS17/normalization.py``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from palettune.device_bench.runtime.registry import kernel


@kernel("batch_norm")
def batch_norm(
    x: Tensor, mean: Tensor, variance: Tensor, gamma: Tensor | None, beta: Tensor | None, *, epsilon: float
) -> Tensor:
    """``gamma * (x - mean) / sqrt(variance + epsilon) + beta`` by channel, axis 1."""
    return F.batch_norm(x, mean, variance, gamma, beta, eps=epsilon)


@kernel("instance_norm")
def instance_norm(x: Tensor, gamma: Tensor | None, beta: Tensor | None, *, epsilon: float) -> Tensor:
    """Each channel of each sample brought to mean 0 and variance 1 over its spatial dimensions, then scaled."""
    axes = list(range(2, x.dim()))
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    return _affine((x - mean) * torch.rsqrt(variance + epsilon), gamma, beta, [1, -1] + [1] * len(axes))


@kernel("layer_norm")
def layer_norm(x: Tensor, gamma: Tensor | None, beta: Tensor | None, *, axes: Sequence[int], epsilon: float) -> Tensor:
    """``gamma * (x - mean) / sqrt(variance + epsilon) + beta`` over ``axes``."""
    positive = sorted(axis % x.dim() for axis in axes)
    if positive == list(range(x.dim() - len(positive), x.dim())):
        return F.layer_norm(x, x.shape[positive[0] :], gamma, beta, epsilon)
    variance, mean = torch.var_mean(x, positive, correction=0, keepdim=True)
    shape = [size if axis in positive else 1 for axis, size in enumerate(x.shape)]
    return _affine((x - mean) * torch.rsqrt(variance + epsilon), gamma, beta, shape)


@kernel("l2_norm")
def l2_norm(x: Tensor, *, epsilon: float) -> Tensor:
    """``x / sqrt(sum of squares + epsilon)`` over the last three dimensions."""
    return x * torch.rsqrt(x.square().sum((-3, -2, -1), keepdim=True) + epsilon)


@kernel("local_response_norm")
def local_response_norm(x: Tensor, *, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """``x / (k + alpha / size * sum of squares of the neighbouring channels) ** beta``."""
    return F.local_response_norm(x, size, alpha, beta, k)


def _affine(x: Tensor, gamma: Tensor | None, beta: Tensor | None, shape: Sequence[int]) -> Tensor:
    if gamma is not None:
        x = x * gamma.reshape(shape)
    return x if beta is None else x + beta.reshape(shape)
