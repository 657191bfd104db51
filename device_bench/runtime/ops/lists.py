"""Lists of tensors. Meaning: coremltools ``ops/defs/iOS15/control_flow.py``. A list is never changed in place."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from palettune.device_bench.runtime.registry import kernel

Elements = list[Tensor | None]


@kernel("make_list")
def make_list(
    *, init_length: int, dynamic_length: bool, elem_shape: Sequence[int | str] | None, dtype: str
) -> Elements:
    """A list of ``init_length`` places with nothing written in them."""
    return [None] * int(init_length)


@kernel("list_length")
def list_length(ls: Elements) -> Tensor:
    """Number of places, a scalar."""
    return torch.tensor(len(ls), dtype=torch.int32)


@kernel("list_write")
def list_write(ls: Elements, value: Tensor, *, index: int) -> Elements:
    """The list with ``value`` at ``index``, longer if need be."""
    index = int(index)
    longer = [*ls, *[None] * (index + 1 - len(ls))]
    longer[index] = value
    return longer


@kernel("list_read")
def list_read(ls: Elements, *, index: int) -> Tensor:
    """The value at ``index``."""
    return _written(ls, int(index))


@kernel("list_gather")
def list_gather(ls: Elements, *, indices: Sequence[int]) -> Tensor:
    """The values at ``indices``, stacked along a new first axis."""
    return torch.stack([_written(ls, index) for index in indices])


@kernel("list_scatter")
def list_scatter(ls: Elements, value: Tensor, *, indices: Sequence[int]) -> Elements:
    """The list with the slices of ``value`` at ``indices``, longer if need be."""
    longer = [*ls, *[None] * (max(indices) + 1 - len(ls))]
    for index, element in zip(indices, value, strict=True):
        longer[index] = element
    return longer


def _written(ls: Elements, index: int) -> Tensor:
    value = ls[index]
    if value is not None:
        return value
    like = next((element for element in ls if element is not None), None)
    if like is None:
        raise ValueError(f"the list is read at {index} before anything was written to it")
    return torch.zeros_like(like)
