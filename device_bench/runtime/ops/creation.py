"""Ops that make a tensor from attributes.

Meaning: coremltools ``ops/defs/iOS15/tensor_operation.py``, ``iOS16/tensor_operation.py`` and ``iOS15/random.py``.
Random ops draw from the stated distribution; the values that a device draws from the same seed are not known.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from palettune.device_bench.runtime.registry import kernel

Scalar = float | int | bool


@kernel("fill")
def fill(*, shape: Sequence[int], value: Scalar) -> Tensor:
    """A tensor of ``shape`` with one value everywhere."""
    return torch.full(tuple(shape), value)


@kernel("fill_like", since="iOS16")
def fill_like(ref_tensor: Tensor, *, value: Scalar) -> Tensor:
    """A tensor of the reference's shape with one value everywhere, of the value's type."""
    return torch.full(ref_tensor.shape, value, device=ref_tensor.device)


@kernel("range_1d")
def range_1d(*, start: Scalar, end: Scalar, step: Scalar) -> Tensor:
    """``start, start + step, ...`` below ``end``."""
    return torch.arange(start, end, step)


@kernel("one_hot")
def one_hot(indices: Tensor, *, one_hot_vector_size: int, axis: int, on_value: Scalar, off_value: Scalar) -> Tensor:
    """``on_value`` at each index along a new ``axis``, ``off_value`` elsewhere."""
    axis = axis % (indices.dim() + 1)
    shape = [one_hot_vector_size if i == axis else 1 for i in range(indices.dim() + 1)]
    places = torch.arange(one_hot_vector_size, device=indices.device).reshape(shape)
    return torch.where(places == indices.unsqueeze(axis), on_value, off_value)


@kernel("shape")
def shape(x: Tensor) -> Tensor:
    """The sizes of ``x``, a vector of integers."""
    return torch.tensor(x.shape, dtype=torch.int32)


def _generator(seed: int | None) -> torch.Generator | None:
    return None if seed is None or seed < 0 else torch.Generator().manual_seed(seed)


def _uniform(shape: Sequence[int], seed: int | None) -> Tensor:
    # Drawn on the CPU whatever the device, so that a seed gives the same values everywhere.
    drawn = torch.rand(tuple(shape), generator=_generator(seed), device="cpu")
    return drawn.to(torch.get_default_device())


@kernel("random_uniform")
def random_uniform(*, shape: Sequence[int], low: float, high: float, seed: int | None) -> Tensor:
    """Uniform in [low, high)."""
    return low + (high - low) * _uniform(shape, seed)


@kernel("random_normal")
def random_normal(*, shape: Sequence[int], mean: float, stddev: float, seed: int | None) -> Tensor:
    """Normal with the given mean and deviation."""
    drawn = torch.randn(tuple(shape), generator=_generator(seed), device="cpu")
    return (mean + stddev * drawn).to(torch.get_default_device())


@kernel("random_bernoulli")
def random_bernoulli(*, shape: Sequence[int], prob: float, seed: int | None) -> Tensor:
    """1 with probability ``prob``, else 0."""
    return (_uniform(shape, seed) < prob).float()


@kernel("random_categorical")
def random_categorical(x: Tensor, *, mode: str, size: int, seed: int | None) -> Tensor:
    """``size`` indices drawn by the logits or probabilities along the last axis."""
    weights = (torch.softmax(x, -1) if mode == "logits" else x).cpu()
    drawn = torch.multinomial(weights.reshape(-1, x.shape[-1]), size, replacement=True, generator=_generator(seed))
    return drawn.reshape(*x.shape[:-1], size).to(x.device, x.dtype)
