"""Error compensation: round weights column by column and correct the remaining columns for each column's error.

The procedure of GPTQ (Frantar et al., "GPTQ: accurate post-training quantization for generative pre-trained
transformers", 2023), for any rounding and for several groups of columns at once. coremltools' own GPTQ rounds to
integers only; this implementation serves tables.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["compensated", "damped"]

_DAMPING = 0.01
_BLOCK = 128


def damped(gram: Tensor, damping: float = _DAMPING) -> Tensor:
    """Add a share of the mean diagonal to Gram matrices (G, K, K), so that they are invertible."""
    mean = gram.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-20)
    return gram + damping * mean[:, None, None] * torch.eye(gram.shape[-1], device=gram.device)


def compensated(weights: Tensor, gram: Tensor, rounded: Callable[[int, Tensor], Tensor]) -> Tensor:
    """Round weights so that their product with the inputs changes little.

    Args:
        weights: (G, R, K).
        gram: (G, K, K) of the inputs; damped here.
        rounded: maps a column number and its values (G, R) to the rounded values.

    Returns:
        (G, R, K), the rounded weights.
    """
    inverse = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(damped(gram))), upper=True)
    left, result = weights.clone(), torch.empty_like(weights)
    columns = weights.shape[-1]
    for start in range(0, columns, _BLOCK):
        end = min(start + _BLOCK, columns)
        block, errors = left[:, :, start:end].clone(), torch.empty_like(left[:, :, start:end])
        for i in range(end - start):
            row = inverse[:, start + i, start:end]
            result[:, :, start + i] = rounded(start + i, block[:, :, i])
            errors[:, :, i] = (block[:, :, i] - result[:, :, start + i]) / row[:, i, None]
            block[:, :, i:] -= errors[:, :, i, None] * row[:, None, i:]
        left[:, :, end:] -= errors @ inverse[:, start:end, end:]
    return result
