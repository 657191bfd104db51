"""Correction of predicted latencies by a few measured on the device itself.

Two factors, each log-normal: one for everything, which no configuration can tell apart, and one for the fetching of
weights, which decides what fewer bits are worth. Their posterior is found as in the fit (Gauss-Newton, Laplace's
approximation for what stays uncertain).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palettune.device_bench.cost.priors import CHIP_DEVIATION

__all__ = ["LatencyCalibration", "calibrate_latency"]

Vector = NDArray[np.float64]
STREAM_DEVIATION = CHIP_DEVIATION * 2**0.5
"""Of weights' fetching over arithmetic: each departs from its family's by as much as chips do."""


@dataclass(frozen=True, slots=True)
class LatencyCalibration:
    """Correction learned from measured latencies.

    Attributes:
        scale: factor of the whole latency.
        stream: factor of the time that weights take, before ``scale``.
        deviation: standard deviation that is left of the logarithm of a latency like those measured.
    """

    scale: float
    stream: float
    deviation: float


def calibrate_latency(
    predict: Callable[[float], Vector], measured: Vector, level_deviation: float, noise: float
) -> LatencyCalibration:
    """Learn a correction from measured latencies of some configurations.

    Args:
        predict: milliseconds of those configurations for a factor of the weights' time.
        measured: milliseconds.
        level_deviation: prior standard deviation of the logarithm of the first factor.
        noise: standard deviation of what neither explains.
    """
    spreads = np.array([max(level_deviation, 1e-6), STREAM_DEVIATION])

    def residuals(theta: Vector) -> Vector:
        level, stream = theta * spreads
        error = np.log(predict(float(np.exp(stream)))) + level - np.log(measured)
        return np.concatenate([error / noise, theta])

    from scipy.optimize import least_squares  # takes long to import, and predictions do without

    answer = least_squares(residuals, np.zeros(2))
    covariance = np.linalg.inv(answer.jac.T @ answer.jac)
    slope = answer.jac[:-2].mean(axis=0) * noise  # of a typical measured logarithm
    level, stream = answer.x * spreads
    return LatencyCalibration(float(np.exp(level)), float(np.exp(stream)), float(np.sqrt(slope @ covariance @ slope)))
