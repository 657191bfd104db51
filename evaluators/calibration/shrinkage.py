"""Shrinkage: reduce noisy estimates towards zero according to their standard errors.

Empirical Bayes for normal means, the form of the James-Stein estimator for unequal errors: Efron and Morris,
"Data analysis using Stein's estimator and its generalizations", JASA 1975.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["shrunk"]


def shrunk(estimates: Tensor, errors: Tensor) -> Tensor:
    """Compute the posterior means of normal quantities with mean zero and an unknown common variance.

    The variance is estimated from the scatter of the estimates beyond their errors; without such scatter all results are
    zero.

    Args:
        estimates: (C,), in one common unit.
        errors: (C,), their standard errors; an estimate whose error is not finite becomes zero.

    Returns:
        (C,), in the dtype of the estimates.
    """
    usable = torch.isfinite(estimates) & torch.isfinite(errors)
    if not bool(usable.any()):
        return torch.zeros_like(estimates)
    found, noise = estimates.double(), errors.double().square()
    weight = torch.where(usable, 1 / (noise + noise[usable].mean() + 1e-30), 0.0)
    excess = torch.where(usable, found.square() - noise, 0.0)
    # weighted by precision, so that a few badly known estimates do not set the variance of all
    variance = ((weight * excess).sum() / weight.sum()).clamp_min(0)
    factor = variance / (variance + noise + 1e-30)
    return torch.where(usable, factor * found, 0.0).to(estimates.dtype)
