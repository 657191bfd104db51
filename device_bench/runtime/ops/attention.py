"""Matrix products and attention.

Meaning: coremltools ``ops/defs/iOS15/linear.py``, ``iOS17/linear.py`` and ``iOS18/transformers.py``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from palettune.device_bench.runtime.registry import kernel


@kernel("linear")
def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x @ weight.T + bias``; weight is [D_out, D_in]."""
    return F.linear(x, weight, bias)


@kernel("matmul")
def matmul(x: Tensor, y: Tensor, *, transpose_x: bool, transpose_y: bool) -> Tensor:
    """Matrix product with NumPy's broadcasting; transposition does nothing to vectors."""
    if transpose_x and x.dim() > 1:
        x = x.transpose(-1, -2)
    if transpose_y and y.dim() > 1:
        y = y.transpose(-1, -2)
    return torch.matmul(x, y)


@kernel("einsum")
def einsum(values: list[Tensor], *, equation: str) -> Tensor:
    """Product of two tensors in the einsum notation, dimensions of size 1 broadcast."""
    return torch.einsum(equation, *values)


@kernel("scaled_dot_product_attention", since="iOS18")
def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None) -> Tensor:
    """``softmax(Q @ K.T / sqrt(E) + mask) @ V``; a boolean mask keeps the elements where it is true."""
    return F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask)
