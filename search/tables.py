"""Tables: the front and the layers as people read them in a terminal."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from palettune.evaluators.evaluation import Evaluation
from palettune.search.front import Front
from palettune.search.intervals import interval
from palettune.search.known_latency import KnownLatency
from palettune.search.study import Record
from palettune.space.configuration import Configuration

__all__ = ["digits", "encoding_summary", "front_table", "front_table_text"]


def digits(value: float | None) -> str:
    """A number at the precision people compare at."""
    if value is None:
        return "-"
    return f"{value:.4f}" if 0.01 <= abs(value) < 1000 else f"{value:.3g}"


def encoding_summary(configuration: Configuration, most: int = 4) -> str:
    """How often each encoding is used, the most frequent first, and how many inputs are in 8 bits.

    As in ``23 lut4  17 int8  10 lut3, 17 inputs in 8 bits``.
    """
    counts = Counter(str(encoding) for encoding in configuration.encodings.values()).most_common()
    shown = "  ".join(f"{count} {name}" for name, count in counts[:most])
    rest = sum(count for _, count in counts[most:])
    rounded = len(configuration.activations)
    return f"{shown}{f'  +{rest}' if rest else ''}{f', {rounded} inputs in 8 bits' if rounded else ''}"


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
        table.add_column(metric, justify="right")
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
