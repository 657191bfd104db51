"""Intervals: how sure a measured divergence is, from its samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from palettune.evaluators.quality.evaluation import Evaluation

__all__ = ["FEWEST_SOURCES", "interval", "mean_interval", "sources"]

FEWEST_SOURCES = 8
"""Sources of samples below which no interval is given."""
_RESAMPLES = 999


def interval(evaluation: Evaluation, confidence: float = 0.95) -> tuple[float, float] | None:
    """Bootstrap the interval of the mean divergence (percentile method); ``None`` with too few sources of samples.

    Samples are resampled one by one; where they come in groups, those of one source together (cluster bootstrap).
    """
    return mean_interval(np.array(evaluation.by_sample), evaluation.groups, confidence)


def sources(evaluation: Evaluation) -> int:
    """Count the sources that the samples of an evaluation come from."""
    return len(set(evaluation.groups)) or len(evaluation.by_sample)


def mean_interval(
    values: NDArray[np.float64], groups: Sequence[int] = (), confidence: float = 0.95
) -> tuple[float, float] | None:
    """Bootstrap the interval of the mean of any values, (samples,); ``None`` with fewer than eight sources.

    Without groups as ``scipy.stats.bootstrap`` gives it, which takes longer to import than a front to be shown.

    Args:
        groups: number of the source of each sample; empty where each is a source of its own.
    """
    if (len(set(groups)) or len(values)) < FEWEST_SOURCES:
        return None
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    means = _means(values, groups)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _means(values: NDArray[np.float64], groups: Sequence[int]) -> NDArray[np.float64]:
    """Means of samples drawn again and again; those of a group are drawn together, the mean is over all of them."""
    chance = np.random.default_rng(0)
    if not groups:
        return np.asarray(values[chance.integers(0, len(values), (_RESAMPLES, len(values)))].mean(axis=-1))
    _, place = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(place, weights=values), np.bincount(place)
    drawn = chance.integers(0, len(sums), (_RESAMPLES, len(sums)))
    return np.asarray(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
