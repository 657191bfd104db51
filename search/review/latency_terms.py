"""The terms of the latency model for the page, from which it predicts any configuration without Python."""

from __future__ import annotations

from typing import Any

from palettune.device_bench.cost.latency_model import LatencyModel, LinearLatency
from palettune.search.review.figures import figure

__all__ = ["latency_terms"]

_PRECISE = 9


def latency_terms(linear: LinearLatency, trial: int | None) -> dict[str, Any]:
    """Return the terms of a latency that no layer decides, in microseconds.

    Args:
        linear: the model as it is additive around one configuration.
        trial: whose configuration that is; ``None`` for the uniform fp16 model.
    """
    model: LatencyModel = linear.model
    terms = model.terms
    busy, stream = model.rest_times
    return {
        "constant_us": figure(1e3 * linear.constant_ms, _PRECISE),
        "at": trial,
        "busy_us": figure(1e3 * busy, _PRECISE),
        "stream_us": figure(1e3 * stream, _PRECISE),
        "floor_us": figure(1e3 * terms.fixed_ms, _PRECISE),
        "overlap": terms.overlap,
        "resident_us": figure(1e3 * terms.resident_ms, _PRECISE),
        "excess": terms.excess,
        "low": figure(terms.low),
        "high": figure(terms.high),
        "device": model.device.name,
        "setting": model.setting.value,
        "measured_on": model.measured,
    }
