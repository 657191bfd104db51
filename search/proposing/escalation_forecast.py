"""Forecasts of what an escalation would gain, from the escalations of the same search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from palettune.search.study.record import Record

__all__ = ["EscalationForecast", "escalation_forecasts"]

_NEAREST = 8


@dataclass(frozen=True)
class EscalationForecast:
    """The divergence after one rung, as earlier escalations let expect.

    Attributes:
        rung: name of the rung.
        share: median of divergence after over divergence before, of those escalations.
        best, worst: the least and the greatest of these shares.
        escalations: how many there were.
        divergence: ``share`` of the predicted divergence.
    """

    rung: str
    share: float
    best: float
    worst: float
    escalations: int
    divergence: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return dict(vars(self))


def escalation_forecasts(records: Sequence[Record], divergence: float) -> tuple[EscalationForecast, ...]:
    """Forecast each rung that the records have escalations to, in their order.

    Args:
        records: of one search; an escalation is compared with the data-free evaluation of the same configuration.
        divergence: predicted, without data; the eight escalations that began nearest to it count.
    """
    by_trial = {record.trial: record for record in records}
    pairs: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        begun = _begun(record, by_trial)
        if record.rung is None or begun is None or record.evaluation is None:
            continue
        distance = abs(float(np.log(begun / divergence))) if divergence > 0 else 0.0
        pairs.setdefault(record.rung, []).append((distance, record.evaluation.divergence / begun))
    return tuple(_forecast(rung, found, divergence) for rung, found in pairs.items())


def _forecast(rung: str, pairs: Sequence[tuple[float, float]], divergence: float) -> EscalationForecast:
    shares = [share for _, share in sorted(pairs)[:_NEAREST]]
    median = float(np.median(shares))
    return EscalationForecast(rung, median, min(shares), max(shares), len(shares), median * divergence)


def _begun(record: Record, by_trial: dict[int, Record]) -> float | None:
    """The divergence that the configuration of an escalation had without data; ``None`` where that is not known."""
    source = record
    while source.escalated_from is not None:
        if source.escalated_from not in by_trial:
            return None
        source = by_trial[source.escalated_from]
    same = source.configuration == record.configuration  # int8 activations make another one of it
    found = source.evaluation.divergence if same and source.evaluation is not None else 0.0
    return found if found > 0 else None
