"""Course of a search: the hypervolume after every evaluation, and what the time was spent on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from palettune.search.experiment.objectives import hypervolume, non_dominated
from palettune.search.results.front import Front, is_feasible, known_values
from palettune.search.review.figures import figure
from palettune.search.review.review_facts import Phase
from palettune.search.review.search_clock import SearchClock
from palettune.search.study.record import Record

__all__ = ["history_rows", "spans_of_work"]

_SHORTEST = 0.05
_TRIALS = "evaluating"


def history_rows(
    records: Sequence[Record], front: Front, phases: Sequence[Phase], clock: SearchClock
) -> dict[str, Any]:
    """Return the hypervolume over time, and the phases, in seconds of the clock.

    Args:
        records: in the order in which they were told.
        front: whose objectives and known latencies count, as they are now: a measurement corrects the past, too.
        phases: that the search noted; evaluations and escalations are added from the records.
    """
    return {"hypervolume": _growth(records, front, clock), "phases": _phases(records, phases, clock)}


def spans_of_work(records: Sequence[Record], phases: Sequence[Phase]) -> list[tuple[float, float]]:
    """Return when something was at work, for a ``SearchClock``."""
    return [*(record.span for record in records), *((phase.begin, phase.end) for phase in phases)]


def _growth(records: Sequence[Record], front: Front, clock: SearchClock) -> list[list[float | None]]:
    """Moment and value wherever it has grown, and at the end, in the order of time."""
    objectives, known = front.objectives, front.known
    best = np.zeros((0, len(objectives.objectives)))
    found: list[list[float | None]] = []
    value, moment = 0.0, 0.0
    for moment, record in _by_time(records, clock):
        if record.values is None or not is_feasible(record, objectives, known):
            continue
        rows = np.vstack([best, objectives.losses(known_values(record, objectives, known))])
        best = rows[non_dominated(rows)]
        grown = hypervolume(best)
        if grown > value:
            value = grown
            found.append([figure(moment), figure(value)])
    if found and found[-1][0] != figure(moment):
        found.append([figure(moment), figure(value)])
    return found


def _by_time(records: Sequence[Record], clock: SearchClock) -> list[tuple[float, Record]]:
    """Records by when they ended, which is not the order in which they are told; an unknown end is that of the one before."""
    ended, last = [], 0.0
    for record in records:
        last = clock.at(record.span[1]) or last
        ended.append((last, record))
    return sorted(ended, key=lambda pair: pair[0])


def _phases(records: Sequence[Record], phases: Sequence[Phase], clock: SearchClock) -> list[dict[str, Any]]:
    noted = [(phase.name, phase.begin, phase.end) for phase in phases]
    found = []
    for name, begin, end in sorted([*noted, *_of_records(records)], key=lambda item: item[1]):
        first, last = clock.at(begin), clock.at(end)
        if first is not None and last is not None and last - first >= _SHORTEST:
            found.append({"name": name, "begin": figure(first), "end": figure(last)})
    return found


def _of_records(records: Sequence[Record]) -> list[tuple[str, float, float]]:
    """From the first beginning to the last end: of evaluations without data, and of each rung."""
    spans: dict[str, list[float]] = {}
    for record in records:
        if record.span[0] > 0 and record.answered_from is None:
            spans.setdefault(record.rung or _TRIALS, []).extend(record.span)
    return [(name, min(moments), max(moments)) for name, moments in spans.items()]
