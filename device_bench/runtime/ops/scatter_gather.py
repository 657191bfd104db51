"""Reading and writing by index.

Meaning: coremltools ``ops/defs/iOS15/scatter_gather.py``, ``iOS16/`` and ``iOS17/scatter_gather.py``. Negative indices
count from the end; from iOS17 on they are out of bounds, where anything may happen.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from palettune.device_bench.runtime.registry import kernel

_REDUCTIONS = {"add": "sum", "sub": "sum", "mul": "prod", "div": "prod", "max": "amax", "min": "amin"}


def _index(indices: Tensor, size: int) -> Tensor:
    indices = indices.long()
    return torch.where(indices < 0, indices + size, indices)


@kernel("gather")
def gather(
    x: Tensor, indices: Tensor, *, axis: int, batch_dims: int = 0, validate_indices: bool | None = None
) -> Tensor:
    """Slices of ``x`` along ``axis``: ``x.shape[:axis] + indices.shape[batch_dims:] + x.shape[axis + 1:]``."""
    axis = axis % x.dim()
    index = _index(indices, x.shape[axis])
    shape = x.shape[:axis] + indices.shape[batch_dims:] + x.shape[axis + 1 :]
    if batch_dims == 0:
        return x.index_select(axis, index.flatten()).reshape(shape)
    batch = prod(x.shape[:batch_dims])
    before, after = prod(x.shape[batch_dims:axis]), prod(x.shape[axis + 1 :])
    spread = index.reshape(batch, 1, -1, 1).expand(-1, before, -1, after)
    return torch.gather(x.reshape(batch, before, x.shape[axis], after), 2, spread).reshape(shape)


@kernel("gather_along_axis")
def gather_along_axis(x: Tensor, indices: Tensor, *, axis: int, validate_indices: bool | None = None) -> Tensor:
    """``x`` at one index per output element along ``axis``."""
    return torch.gather(x, axis, _index(indices, x.shape[axis]))


@kernel("gather_nd")
def gather_nd(x: Tensor, indices: Tensor, *, batch_dims: int = 0, validate_indices: bool | None = None) -> Tensor:
    """Slices of ``x`` at the index vectors in the last axis of ``indices``."""
    depth = indices.shape[-1]
    batch, index = x.shape[:batch_dims], _flat_index(indices, x.shape[batch_dims : batch_dims + depth])
    rows = x.reshape(prod(batch), prod(x.shape[batch_dims : batch_dims + depth]), -1)
    spread = index.reshape(prod(batch), -1, 1).expand(-1, -1, rows.shape[-1])
    return torch.gather(rows, 1, spread).reshape(indices.shape[:-1] + x.shape[batch_dims + depth :])


def _flat_index(indices: Tensor, sizes: torch.Size) -> Tensor:
    """One index into the flattened leading dimensions for each index vector."""
    flat = torch.zeros(indices.shape[:-1], dtype=torch.long, device=indices.device)
    for place, size in enumerate(sizes):
        flat = flat * size + _index(indices[..., place], size)
    return flat


def _scatter(data: Tensor, axis: int, index: Tensor, updates: Tensor, mode: str) -> Tensor:
    if mode == "update":
        return data.scatter(axis, index, updates)
    if mode == "sub":
        updates = -updates
    if mode == "div":
        updates = torch.reciprocal(updates)
    return data.scatter_reduce(axis, index, updates, _REDUCTIONS[mode], include_self=True)


@kernel("scatter")
def scatter(
    data: Tensor, indices: Tensor, updates: Tensor, *, axis: int, mode: str, validate_indices: bool | None = None
) -> Tensor:
    """``data`` with ``updates`` put, added ... at the places ``indices`` along ``axis``."""
    axis = axis % data.dim()
    shape = [-1 if i == axis else 1 for i in range(data.dim())]
    updates = updates.reshape(*data.shape[:axis], -1, *data.shape[axis + 1 :])
    index = _index(indices, data.shape[axis]).reshape(shape).expand(updates.shape)
    return _scatter(data, axis, index, updates, mode)


@kernel("scatter_along_axis")
def scatter_along_axis(
    data: Tensor, indices: Tensor, updates: Tensor, *, axis: int, mode: str, validate_indices: bool | None = None
) -> Tensor:
    """``data`` with each update put, added ... at its own index along ``axis``."""
    return _scatter(data, axis, _index(indices, data.shape[axis]), updates, mode)


@kernel("scatter_nd")
def scatter_nd(
    data: Tensor, indices: Tensor, updates: Tensor, *, mode: str, validate_indices: bool | None = None
) -> Tensor:
    """``data`` with slices put, added ... at the index vectors in the last axis of ``indices``."""
    depth = indices.shape[-1]
    rows = data.reshape(prod(data.shape[:depth]), -1)
    index = _flat_index(indices, data.shape[:depth]).reshape(-1, 1).expand(-1, rows.shape[-1])
    return _scatter(rows, 0, index, updates.reshape(index.shape), mode).reshape(data.shape)
