"""Known latencies: measured on a device, else predicted by a model that those measurements corrected.

The two are kept apart: ``measured`` and ``calibrated`` are never one column. Only where configurations must be compared
is the better of what is known of each taken, by ``ms``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from palettune.device_bench.cost.latency_model import LatencyModel
from palettune.device_bench.measurement.measurement import Measurement
from palettune.search.study.record import Record

__all__ = ["KnownLatency", "known_latency"]

LATENCY = "latency_ms"


@dataclass(frozen=True)
class KnownLatency:
    """Latencies of a search's configurations on its device.

    Attributes:
        model: taught by the measurements; ``None`` without any, or without a device.
        measurements: by configuration hash.
    """

    model: LatencyModel | None = None
    measurements: Mapping[str, Measurement] = field(default_factory=dict)

    def measured(self, record: Record) -> Measurement | None:
        """Return the measurement of a record's configuration."""
        return self.measurements.get(record.configuration.hash)

    def calibrated(self, record: Record) -> float | None:
        """Predict by the corrected model, in milliseconds; ``None`` while nothing was measured."""
        return self.model.predict(record.configuration).ms if self.model is not None else None

    def ms(self, record: Record) -> float | None:
        """Return the measured latency, else the calibrated one, else the one predicted when the trial ended."""
        measured = self.measured(record)
        if measured is not None:
            return measured.median_ms
        calibrated = self.calibrated(record)
        return calibrated if calibrated is not None else record.costs.get(LATENCY)

    def costs(self, record: Record) -> dict[str, float]:
        """Return a record's costs, with the latency that is known best."""
        known = self.ms(record)
        return dict(record.costs) | ({LATENCY: known} if known is not None else {})


def known_latency(
    model: LatencyModel | None, records: Sequence[Record], measurements: Mapping[str, Measurement]
) -> KnownLatency:
    """Correct the model by the measurements of some records' configurations."""
    if model is None or not measurements:
        return KnownLatency(None, measurements)
    configurations = {record.configuration.hash: record.configuration for record in records}
    pairs = [(configurations[key], m.median_ms) for key, m in measurements.items() if key in configurations]
    return KnownLatency(model.calibrated(pairs) if pairs else None, measurements)
