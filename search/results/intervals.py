"""Intervals: how sure a measured divergence is, from its samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from palettune.evaluators.quality.evaluation import Evaluation

__all__ = ["FEWEST_SOURCES", "interval", "mean_interval", "sources"]

FEWEST_SOURCES = 8
"""Sources of samples below which no interval is given."""
_RESAMPLES = 999


def interval(evaluation: Evaluation, confidence: float = 0.95) -> tuple[float, float] | None:
    """Bootstrap interval of the mean divergence (percentile method); ``None`` with too few sources of samples.

    Samples are resampled one by one; where they come in groups, those of one source together (cluster bootstrap).
    """
    return mean_interval(np.array(evaluation.by_sample), evaluation.groups, confidence)


def sources(evaluation: Evaluation) -> int:
    """Number of sources that the samples of an evaluation come from."""
    return len(set(evaluation.groups)) or len(evaluation.by_sample)


def mean_interval(
    values: NDArray[np.float64], groups: Sequence[int] = (), confidence: float = 0.95
) -> tuple[float, float] | None:
    """The same for any values, (samples,); ``None`` with fewer than eight sources.

    Args:
        groups: number of the source of each sample; empty where each is a source of its own.
    """
    if (len(set(groups)) or len(values)) < FEWEST_SOURCES:
        return None
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    if groups:
        return _clustered(values, groups, confidence)
    found = bootstrap(
        (values,),
        np.mean,
        confidence_level=confidence,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _clustered(values: NDArray[np.float64], groups: Sequence[int], confidence: float) -> tuple[float, float]:
    """Ends for samples in groups, which are drawn whole: the mean is over all samples drawn."""
    _, place = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(place, weights=values), np.bincount(place)
    drawn = np.random.default_rng(0).integers(0, len(sums), (_RESAMPLES, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return float(low), float(high)
