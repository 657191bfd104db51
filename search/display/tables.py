"""Tables: the front and the layers as people read them in a terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from palettune.evaluators.quality.evaluation import Evaluation
from palettune.search.results.formatting import digits, encoding_summary
from palettune.search.results.front import Front
from palettune.search.results.intervals import interval
from palettune.search.results.known_latency import KnownLatency
from palettune.search.study.record import Record

__all__ = ["front_table", "front_table_text"]


def front_table(front: Front, title: str | None = None, confirmations: Mapping[str, Evaluation] | None = None) -> Table:
    """The front, smallest first."""
    table = Table(title=title, header_style="bold", row_styles=["", "dim"])
    table.add_column("trial", justify="right")
    table.add_column("workflow")
    costs = [objective.name for objective in front.objectives.objectives[1:]]
    for cost in costs:
        table.add_column({"size_mb": "size MB", "latency_ms": "predicted ms"}[cost], justify="right")
    if front.known.measurements:
        table.add_column("calibrated ms", justify="right")
        table.add_column("measured ms", justify="right")
    table.add_column("divergence", justify="right")
    table.add_column("95 % interval", justify="right")
    if confirmations:
        table.add_column("on unseen data", justify="right")
    metrics = sorted({name for record in front.members if record.evaluation for name in record.evaluation.metrics})
    for metric in metrics:
        table.add_column(escape(metric), justify="right")
    table.add_column("proposed by")
    table.add_column("layers by encoding")
    knee = front.knee().trial if front.members else None
    for record in front.members:
        cells = _row(record, front.known, costs, metrics, confirmations)
        table.add_row(*cells, style="bold green" if record.trial == knee else None)
    if front.members:
        table.caption = f"trial {knee} (bold) is the knee{_ranked(front)}"
    return table


def _ranked(front: Front) -> str:
    """How latencies rank the members, where some were measured."""
    measured = sum(front.known.measured(record) is not None for record in front.members)
    if not front.known.measurements:
        return ""
    return f"; {measured} of {len(front.members)} members rank by measured latency, the others by calibrated"


def _row(
    record: Record,
    known: KnownLatency,
    costs: list[str],
    metrics: list[str],
    confirmations: Mapping[str, Evaluation] | None,
) -> list[str]:
    evaluation, measured = record.evaluation, known.measured(record)
    latencies = [digits(known.calibrated(record)), digits(measured.median_ms if measured else None)]
    return [
        str(record.trial),
        record.workflow.value,
        *(f"{record.costs[cost]:.3f}" for cost in costs),
        *(latencies if known.measurements else []),
        digits(evaluation.divergence if evaluation else None),
        _interval(evaluation),
        *([_confirmed(confirmations.get(record.key))] if confirmations else []),
        *(digits(evaluation.metrics.get(name) if evaluation else None) for name in metrics),
        record.origin,
        encoding_summary(record.configuration),
    ]


def _interval(evaluation: Evaluation | None) -> str:
    ends = interval(evaluation) if evaluation else None
    return f"{digits(ends[0])} - {digits(ends[1])}" if ends else "-"


def _confirmed(evaluation: Evaluation | None) -> str:
    return digits(evaluation.divergence) if evaluation else "-"


def front_table_text(front: Front, confirmations: Mapping[str, Evaluation] | None = None) -> str:
    """The table as plain text."""
    buffer = io.StringIO()
    Console(file=buffer, width=180, no_color=True).print(front_table(front, None, confirmations))
    return buffer.getvalue()
