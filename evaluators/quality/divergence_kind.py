"""Which distance between compressed and float outputs is taken."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["DivergenceKind"]


class DivergenceKind(StrEnum):
    """Which distance is taken."""

    KL = "kl"
    """Kullback-Leibler divergence of softmax(logits), in nats, mean over positions; the last axis holds classes."""
    SQUARED_ERROR = "squared_error"
    """Squared error relative to the mean squared norm of the float output, mean over outputs."""
