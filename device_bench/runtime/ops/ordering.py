"""Sorting and cumulative ops.

Meaning: coremltools ``ops/defs/iOS15/tensor_operation.py``, ``iOS16/`` and ``iOS17/tensor_operation.py``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from palettune.device_bench.runtime.registry import kernel


@kernel("argsort")
def argsort(x: Tensor, *, axis: int, ascending: bool) -> Tensor:
    """Indices that sort ``x`` along ``axis``."""
    return torch.argsort(x, dim=axis, descending=not ascending, stable=True)


@kernel("topk")
def topk(
    x: Tensor,
    *,
    k: int,
    axis: int,
    ascending: bool,
    sort: bool = True,
    return_indices: bool = True,
    output_indices_dtype: str | None = None,
) -> tuple[Tensor, Tensor] | Tensor:
    """The ``k`` largest (smallest when ascending) values along ``axis``, and their indices; k = -1 takes all."""
    values, indices = torch.topk(x, x.shape[axis] if k == -1 else k, axis, largest=not ascending, sorted=True)
    return (values, indices) if return_indices else values


@kernel("cumsum")
def cumsum(x: Tensor, *, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    """Running sum along ``axis``; exclusive leaves each element out of its own sum."""
    ordered = x.flip(axis) if reverse else x
    total = torch.cumsum(ordered, axis)
    if exclusive:
        total = total - ordered
    return total.flip(axis) if reverse else total


@kernel("non_zero")
def non_zero(x: Tensor) -> Tensor:
    """Indices of the elements that are not zero, [n, rank]."""
    return torch.nonzero(x)
