"""Kinds of divergence between compressed and float outputs."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["DivergenceKind"]


class DivergenceKind(StrEnum):
    """Kind of divergence."""

    KL = "kl"
    """Kullback-Leibler divergence of softmax(logits), in nats, averaged over positions; the last axis holds classes."""
    SQUARED_ERROR = "squared_error"
    """Squared error divided by the mean squared norm of the float output, averaged over outputs."""
