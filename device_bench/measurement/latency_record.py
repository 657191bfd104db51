"""Names under which latency is recorded; predicted and measured never share one."""

from __future__ import annotations

from dataclasses import dataclass

from palettune.device_bench.cost.latency_model import LatencyModel
from palettune.device_bench.measurement.measurement import Measurement

__all__ = ["MEASURED", "PREDICTED", "LatencyRecord", "measured_record", "predicted_tags"]

PREDICTED = "latency_ms"
MEASURED = "measured_latency_ms"


@dataclass(frozen=True)
class LatencyRecord:
    """Metrics and tags of one latency.

    Attributes:
        metrics: numbers by name.
        tags: words by name.
    """

    metrics: dict[str, float]
    tags: dict[str, str]


def predicted_tags(model: LatencyModel) -> dict[str, str]:
    """Return the tags of a prediction: device, unit and target."""
    return {
        f"{PREDICTED}.device": model.device.name,
        f"{PREDICTED}.chip": model.device.chip.name,
        f"{PREDICTED}.compute_unit": model.setting.value,
    }


def measured_record(measurement: Measurement, chip: str) -> LatencyRecord:
    """Return the record of a measurement: median, spread, load time, runs, drift and residency, with its device."""
    metrics = {
        MEASURED: measurement.median_ms,
        f"{MEASURED}.spread": measurement.spread_ms,
        f"{MEASURED}.runs": float(measurement.runs),
        f"{MEASURED}.drift": measurement.drift,
    }
    if measurement.load_ms is not None:
        metrics[f"{MEASURED}.load"] = measurement.load_ms
    for processor, share in (measurement.residency or {}).items():
        metrics[f"{MEASURED}.residency.{processor}"] = share
    tags = {
        f"{MEASURED}.device": measurement.device,
        f"{MEASURED}.chip": chip,
        f"{MEASURED}.os": measurement.os,
        f"{MEASURED}.compute_unit": measurement.compute_unit.value,
        f"{MEASURED}.drifted": str(measurement.drifted).lower(),
        f"{MEASURED}.runs": str(measurement.runs),
    }
    if measurement.residency:
        shares = sorted(measurement.residency.items(), key=lambda item: (-item[1], item[0]))
        tags[f"{MEASURED}.residency"] = ", ".join(f"{share:.0%} {processor}" for processor, share in shares)
    return LatencyRecord(metrics, tags)
