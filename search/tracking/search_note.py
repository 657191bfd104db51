"""The note of a search's own run in MLflow: its knee, three picks and the commands to go on with, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from palettune.evaluators.quality.evaluation import Evaluation
from palettune.search.results.formatting import digits
from palettune.search.results.front import Front
from palettune.search.study.record import Record

__all__ = ["search_note"]

_PICKS = 3
_HEADINGS = {"size_mb": "size", "latency_ms": "predicted latency"}
_UNITS = {"size_mb": "MB", "latency_ms": "ms"}


def search_note(
    front: Front,
    evaluations: int,
    rungs: Mapping[str, Mapping[str, float]],
    confirmations: Mapping[str, Evaluation],
    where: str = "EXPERIMENT.toml",
) -> str:
    """Write the note of a search: what a reader should know first.

    Args:
        evaluations: told so far.
        rungs: what each rung of the escalation brought, figures by name.
        confirmations: members measured on data that the search never saw, by the record's key.
        where: what a command takes to find the search: the experiment's file, and options.
    """
    if not front.members:
        return f"{evaluations} evaluations; none meets the constraints yet."
    picks = _picks(front)
    seen = any(record.key in confirmations for record in picks)
    lines = [
        f"**{len(front.members)} members of the front** after {evaluations} evaluations. In the runs of this search "
        "`tags.front = 'true'` finds them, and `tags.knee = 'true'` the knee, the best trade-off, which has a `*` here.",
        "",
        *_table(front, picks, confirmations if seen else {}),
        "",
        *(f"- {sentence}" for sentence in _sentences(rungs)),
        *([""] if rungs else []),
        "```sh",
        f"palettune review {where}    # the whole search on one page",
        *(_export(record, front, where) for record in picks),
        "```",
    ]
    return "\n".join(lines)


def _picks(front: Front) -> Sequence[Record]:
    """The knee, among three members spread along the front; smallest first."""
    knee = front.knee()
    others = [record for record in front.spread(_PICKS) if record.trial != knee.trial][: _PICKS - 1]
    wanted = {knee.trial, *(record.trial for record in others)}
    return [record for record in front.members if record.trial in wanted]


def _table(front: Front, picks: Sequence[Record], confirmations: Mapping[str, Evaluation]) -> list[str]:
    quality, *costs = [objective.name for objective in front.objectives.objectives]
    heads = ["trial", *(_HEADINGS.get(cost, cost) for cost in costs), quality]
    heads += ["on unseen data"] if confirmations else []
    rows = [[_name(record, front), *_figures(record, costs, quality, confirmations)] for record in picks]
    return [_row(heads), _row(["---"] * len(heads)), *(_row(row) for row in rows)]


def _figures(record: Record, costs: Sequence[str], quality: str, confirmations: Mapping[str, Evaluation]) -> list[str]:
    values = record.values or ()
    confirmed = confirmations.get(record.key)
    found = [f"{record.costs[cost]:.3f} {_UNITS.get(cost, '')}".strip() for cost in costs]
    found.append(digits(values[0] if values else None))
    return [*found, digits(_of(confirmed, quality))] if confirmations else found


def _of(evaluation: Evaluation | None, quality: str) -> float | None:
    if evaluation is None:
        return None
    return evaluation.divergence if quality == "divergence" else evaluation.metrics.get(quality)


def _name(record: Record, front: Front) -> str:
    return f"{record.trial} \\*" if record.trial == front.knee().trial else str(record.trial)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _export(record: Record, front: Front, where: str) -> str:
    pick = "knee" if record.trial == front.knee().trial else str(record.trial)
    return f"palettune export {where} --out packages --pick {pick}"


def _sentences(rungs: Mapping[str, Mapping[str, float]]) -> list[str]:
    """What each rung brought, in words."""
    found = []
    for rung, facts in rungs.items():
        taken, count = facts.get("loss_taken_away"), facts.get("escalations", 0)
        words = f"{rung}: {count:.0f} escalation{'' if count == 1 else 's'}"
        if taken is not None:
            words += f", which took away {taken:.0%} of the scaled loss on average" if taken > 0 else ", without a gain"
        growth = facts.get("hypervolume_growth")
        words += f" and grew the hypervolume by {growth:.2g}" if growth is not None and growth > 0 else ""
        found.append(words + ("." if facts.get("pays", 1.0) else ": it does not pay here."))
    return found
