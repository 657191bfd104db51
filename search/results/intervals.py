"""Intervals: how sure a measured divergence is, from its samples."""

from __future__ import annotations

import numpy as np
from scipy.stats import bootstrap

from palettune.evaluators.quality.evaluation import Evaluation

__all__ = ["interval"]


def interval(evaluation: Evaluation, confidence: float = 0.95) -> tuple[float, float] | None:
    """Bootstrap interval over samples of the mean divergence (percentile method); ``None`` with too few samples."""
    values = np.array(evaluation.by_sample)
    if len(values) < 8:
        return None
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    found = bootstrap(
        (values,),
        np.mean,
        confidence_level=confidence,
        n_resamples=999,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
