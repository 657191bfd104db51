"""Results as pandas tables, for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from palettune.evaluators.quality.evaluation import Evaluation
from palettune.search.results.intervals import interval
from palettune.search.results.known_latency import KnownLatency
from palettune.search.study.record import Record

if TYPE_CHECKING:
    import pandas

__all__ = ["members_frame", "records_frame"]


def members_frame(
    members: Sequence[Record], knee: Record | None, known: KnownLatency, confirmations: Mapping[str, Evaluation]
) -> pandas.DataFrame:
    """Return a row for each member of a front, by trial; ``None`` where a figure is not known.

    Columns: workflow, knee, the costs (latencies predicted, calibrated and measured apart), divergence with the ends
    of its 95 % interval, the same on unseen data, the workload's metrics, what proposed it, and the configuration.
    """
    import pandas  # takes long to import, and a terminal does without

    rows = [_member(record, record is knee, known, confirmations.get(record.key)) for record in members]
    frame = pandas.DataFrame(rows, columns=None if rows else ["trial"]).set_index("trial")
    unknown = [name for name in _SOMETIMES if name in frame and frame[name].isna().all()]
    return frame.drop(columns=unknown)


_SOMETIMES = ("latency_ms", "calibrated_latency_ms", "measured_latency_ms", "confirmed_divergence", "escalated_from")


def _member(record: Record, knee: bool, known: KnownLatency, confirmed: Evaluation | None) -> dict[str, Any]:
    evaluation = record.evaluation
    assert evaluation is not None
    ends = interval(evaluation) or (None, None)
    measured = known.measured(record)
    return {
        "trial": record.trial,
        "workflow": record.workflow,
        "knee": knee,
        "size_mb": record.costs.get("size_mb"),
        "latency_ms": record.costs.get("latency_ms"),
        "calibrated_latency_ms": known.calibrated(record),
        "measured_latency_ms": measured.median_ms if measured else None,
        "divergence": evaluation.divergence,
        "divergence_low": ends[0],
        "divergence_high": ends[1],
        "confirmed_divergence": confirmed.divergence if confirmed else None,
        **evaluation.metrics,
        "origin": record.origin,
        "escalated_from": record.escalated_from,
        "configuration": record.configuration,
    }


def records_frame(records: Sequence[Record], front: Sequence[Record] = ()) -> pandas.DataFrame:
    """Return a row for each evaluation, by trial, in the order given, with a column ``encoding.LAYER`` for each layer.

    Args:
        front: the members, marked in the column ``on_front``.
    """
    import pandas

    members = {record.trial for record in front}
    rows = [_trial(record) | {"on_front": record.trial in members} | _encodings(record) for record in records]
    return pandas.DataFrame(rows, columns=None if rows else ["trial"]).set_index("trial")


def _trial(record: Record) -> dict[str, Any]:
    import pandas

    evaluation, began = record.evaluation, record.span[0]
    return {
        "trial": record.trial,
        "origin": record.origin,
        "workflow": record.workflow,
        "state": "failed" if record.failure else "screened" if record.screened else "complete",
        "reason": str(record.failure or record.screened or "") or None,
        "feasible": record.feasible,
        "answered_from": record.answered_from,
        "escalated_from": record.escalated_from,
        **record.costs,
        "divergence": evaluation.divergence if evaluation else None,
        **(evaluation.metrics if evaluation else {}),
        "began": pandas.Timestamp(began, unit="s", tz="UTC"),
        "seconds": record.span[1] - began,
        "configuration_hash": record.configuration.hash,
    }


def _encodings(record: Record) -> dict[str, str]:
    return {f"encoding.{name}": str(encoding) for name, encoding in record.configuration.in_order.items()}
