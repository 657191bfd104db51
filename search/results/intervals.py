"""Intervals: how sure a measured divergence is, from its samples."""

from __future__ import annotations

import numpy as np

from palettune.evaluators.quality.evaluation import Evaluation

__all__ = ["interval"]

_RESAMPLES = 999


def interval(evaluation: Evaluation, confidence: float = 0.95) -> tuple[float, float] | None:
    """Bootstrap interval over samples of the mean divergence (percentile method); ``None`` with too few samples.

    As ``scipy.stats.bootstrap`` gives it, which takes longer to import than a front to be shown.
    """
    values = np.array(evaluation.by_sample)
    if len(values) < 8:
        return None
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    drawn = np.random.default_rng(0).integers(0, len(values), (_RESAMPLES, len(values)))
    tail = (1 - confidence) / 2
    low, high = np.quantile(values[drawn].mean(axis=-1), [tail, 1 - tail])
    return float(low), float(high)
