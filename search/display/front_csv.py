"""The front as comma-separated values: every member and every figure, for spreadsheets."""

from __future__ import annotations

import csv
import io
from typing import Any

from palettune.search.display.tables import KNEE
from palettune.search.results.front import Front
from palettune.search.results.intervals import interval
from palettune.search.study.record import Record

__all__ = ["front_csv"]


def front_csv(front: Front) -> str:
    """Return a header and a line for each member, smallest first; an empty cell is a figure that is not known.

    Columns: trial, ``*`` for the knee, workflow, costs, divergence with the ends of its 95 % interval, the same on
    unseen data, the workload's metrics, what proposed it, and ``encoding.LAYER`` for each layer in the model's order.
    """
    knee = front.knee() if front.members else None
    rows = [_row(front, record, record is knee) for record in front.members]
    names = dict.fromkeys(name for row in rows for name in row)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(names), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _row(front: Front, record: Record, knee: bool) -> dict[str, Any]:
    evaluation, measured = record.evaluation, front.known.measured(record)
    assert evaluation is not None
    unseen = front.confirmations.get(record.key)
    (low, high), (lowest, highest) = ((interval(e) if e else None) or ("", "") for e in (evaluation, unseen))
    return {
        "trial": record.trial,
        "knee": KNEE if knee else "",
        "workflow": record.workflow,
        **record.costs,
        **({"calibrated_latency_ms": front.known.calibrated(record)} if front.known.measurements else {}),
        **({"measured_latency_ms": measured.median_ms if measured else ""} if front.known.measurements else {}),
        "divergence": evaluation.divergence,
        "divergence_low": low,
        "divergence_high": high,
        "unseen_divergence": unseen.divergence if unseen else "",
        "unseen_divergence_low": lowest,
        "unseen_divergence_high": highest,
        **evaluation.metrics,
        "proposed_by": record.origin,
        **{f"encoding.{name}": str(encoding) for name, encoding in record.configuration.in_order.items()},
    }
