"""The front as a table in a terminal: one line for each member."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from palettune.evaluators.quality.evaluation import Evaluation
from palettune.search.display.fitted_table import FittedTable, TableColumn
from palettune.search.results.formatting import digits, encoding_summary
from palettune.search.results.front import Front
from palettune.search.results.intervals import interval
from palettune.search.results.verdicts import MemberVerdict
from palettune.search.study.record import Record

__all__ = ["KNEE", "front_table", "shown_members"]

KNEE = "*"
"""What marks the knee, in every medium."""
_MEMBERS = 12
_COSTS = {"size_mb": "size MB", "latency_ms": "predicted ms"}


def front_table(front: Front, title: str | None = None, *, every: bool = False, wide: bool = False) -> FittedTable:
    """Return the front as a table, smallest first.

    Args:
        every: show all members, not a dozen spread along the front.
        wide: show all columns, however wide the console is.
    """
    shown = front.members if every else shown_members(front)
    knee = front.knee() if front.members else None
    columns = [
        TableColumn("", [KNEE if record is knee else "" for record in shown], left=True),
        TableColumn("trial", [str(record.trial) for record in shown]),
        TableColumn("workflow", [record.workflow for record in shown], rank=3, left=True),
        *_costs(front, shown),
        *_quality(front, shown),
        *_metrics(shown),
        _encodings(shown),
        TableColumn("proposed by", [record.origin for record in shown], rank=9, left=True),
    ]
    marked = next((index for index, record in enumerate(shown) if record is knee), None)
    return FittedTable(columns, title, wide, marked, notes=_notes(front, knee, len(shown)))


def shown_members(front: Front) -> Sequence[Record]:
    """Choose a dozen members spread along the front, the knee among them; all where there are no more."""
    if len(front.members) <= _MEMBERS:
        return front.members
    knee, chosen = front.knee(), front.spread(_MEMBERS)
    if all(record is not knee for record in chosen):
        chosen = (*front.spread(_MEMBERS - 1), knee)
    trials = {record.trial for record in chosen}
    others = [record.trial for record in reversed(front.members) if record.trial not in trials]
    trials.update(others[: _MEMBERS - len(trials)])  # where few are useful, the next smaller ones
    return [record for record in front.members if record.trial in trials]


def _costs(front: Front, shown: Sequence[Record]) -> list[TableColumn]:
    """Costs; predicted, calibrated and measured latencies apart."""
    costs = [objective.name for objective in front.objectives.objectives[1:]]
    found = [TableColumn(_COSTS[cost], [f"{r.costs[cost]:.3f}" for r in shown], rank=1) for cost in costs]
    if front.known.measurements:
        measured = [front.known.measured(record) for record in shown]
        found += [
            TableColumn("calibrated ms", [digits(front.known.calibrated(r)) for r in shown], rank=2),
            TableColumn("measured ms", [digits(m.median_ms if m else None) for m in measured], rank=2),
        ]
    return found


def _quality(front: Front, shown: Sequence[Record]) -> list[TableColumn]:
    """Divergences: on the evaluation data, how sure they are, and on data that the search never saw."""
    found = [
        TableColumn("divergence", _each(shown, lambda e: digits(e.divergence)), rank=1),
        TableColumn("95 % interval", _each(shown, _interval), rank=8),
    ]
    if front.confirmations:
        unseen = [front.confirmations.get(record.key) for record in shown]
        found.append(TableColumn("unseen", [digits(e.divergence if e else None) for e in unseen], rank=4))
        found.append(_verdicts([front.verdict(record) for record in shown]))
    return found


def _verdicts(found: Sequence[MemberVerdict]) -> TableColumn:
    """In words, or in one word each where there is less room."""
    short = {MemberVerdict.ABOVE: "above", MemberVerdict.UNSURE: "too few", MemberVerdict.UNCHECKED: "-"}
    shorter = [[short.get(verdict, verdict.value) for verdict in found]]
    return TableColumn("verdict", [verdict.value for verdict in found], rank=5, left=True, shorter=shorter)


def _metrics(shown: Sequence[Record]) -> list[TableColumn]:
    """The workload's own metrics."""
    names = sorted({name for record in shown if record.evaluation for name in record.evaluation.metrics})
    return [
        TableColumn(name, [digits(r.evaluation.metrics.get(name) if r.evaluation else None) for r in shown], rank=6)
        for name in names
    ]


def _encodings(shown: Sequence[Record]) -> TableColumn:
    """How often each encoding is used; fewer are named where there is less room."""
    editions = [[encoding_summary(record.configuration, most) for record in shown] for most in (4, 3, 2, 1)]
    return TableColumn("layers by encoding", editions[0], rank=7, left=True, shorter=editions[1:])


def _each(shown: Sequence[Record], words: Callable[[Evaluation], str]) -> list[str]:
    return [words(record.evaluation) if record.evaluation else "-" for record in shown]


def _interval(evaluation: Evaluation) -> str:
    ends = interval(evaluation)
    return f"{digits(ends[0])} - {digits(ends[1])}" if ends else "-"


def _notes(front: Front, knee: Record | None, shown: int) -> list[str]:
    """The knee, how members are ranked, and how many are not shown."""
    if knee is None:
        return []
    found = [f"{KNEE} trial {knee.trial} is the knee{_ranked(front)}"]
    if shown < len(front.members):
        found.append(f"{shown} of {len(front.members)} members (--all shows every one)")
    return found


def _ranked(front: Front) -> str:
    """How latencies rank the members, where some were measured."""
    measured = sum(front.known.measured(record) is not None for record in front.members)
    if not front.known.measurements:
        return ""
    return f"; {measured} of {len(front.members)} members rank by measured latency, the others by calibrated"
