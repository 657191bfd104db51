"""Comparison of a model's outputs before and after a change that should not change them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from palettune.device_bench.model.outputs import tensors

__all__ = ["alike", "same_numbers", "seeded_outputs"]


@contextlib.contextmanager
def same_numbers(seed: int = 0) -> Iterator[None]:
    """Compute without gradients, on torch's random numbers of a seed; restore its generator afterwards."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        yield


def seeded_outputs(run: Callable[[], Any]) -> list[Tensor]:
    """Run a model without gradients on the same random numbers each time; return copies of all output tensors."""
    with same_numbers():
        return [value.clone() for value in tensors(run())]


def alike(found: list[Tensor], wanted: list[Tensor]) -> bool:
    """Return whether two lists of outputs are equal within rounding."""
    return len(found) == len(wanted) and all(map(_close, found, wanted))


def _close(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or not one.is_floating_point():
        return one.shape == other.shape and torch.equal(one, other)
    finite = other[torch.isfinite(other)].abs()
    scale = float(finite.max()) if finite.numel() else 0.0
    return torch.allclose(one, other, rtol=1e-4, atol=1e-5 * scale, equal_nan=True)
