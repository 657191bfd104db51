"""Straight-through estimators: the value that a package stores, with a gradient to the trained value.

The gradient of rounding is replaced by that of the identity (Bengio, Leonard and Courville 2013,
https://arxiv.org/abs/1308.3432).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["half", "looked_up", "pass_gradient", "rounded"]


def pass_gradient(values: Tensor, stored: Tensor) -> Tensor:
    """Return the value of ``stored``, exactly, and pass its gradient to ``values``."""
    return stored.detach() + (values - values.detach())


def half(values: Tensor) -> Tensor:
    """Round values to fp16 precision, in float32, with a straight-through gradient."""
    return pass_gradient(values, values.detach().half().float())


def rounded(values: Tensor) -> Tensor:
    """Round values to integers, with a straight-through gradient."""
    return pass_gradient(values, values.detach().round())


def looked_up(values: Tensor, tables: Tensor, indices: Tensor) -> Tensor:
    """Look up table entries by index; the gradient is summed by entry, and passed unchanged to ``values``.

    Args:
        values: (G, N, V).
        tables: (G, K, V).
        indices: (G, N), of the entries in the table of the same group.

    Returns:
        (G, N, V).
    """
    found: Tensor = _Lookup.apply(values, tables, indices)  # type: ignore[no-untyped-call]
    return found


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, tables: Tensor, indices: Tensor) -> Tensor:
        """The entry of each index."""
        groups, entries, length = tables.shape
        flat = (indices + entries * torch.arange(groups, device=indices.device)[:, None]).flatten()
        ctx.save_for_backward(flat)
        ctx.shape = tables.shape
        return tables.reshape(-1, length)[flat].reshape(*indices.shape, length)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, None]:
        """Sum by entry, and straight through."""
        (flat,) = ctx.saved_tensors
        gradient = gradients[0]
        rows = gradient.reshape(-1, ctx.shape[-1])
        if ctx.shape[-1] == 1:
            summed = torch.bincount(flat, weights=rows[:, 0], minlength=ctx.shape[0] * ctx.shape[1])
        else:
            summed = torch.zeros(ctx.shape[0] * ctx.shape[1], ctx.shape[-1], dtype=rows.dtype, device=rows.device)
            summed.index_add_(0, flat, rows)
        return gradient, summed.to(gradient.dtype).reshape(ctx.shape), None
