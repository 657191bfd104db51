"""Confirmation: the front measured on data that the search never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from palettune.evaluators.quality.evaluation import Failure
from palettune.search.experiment.reporter import Reporter
from palettune.search.results.front import Front
from palettune.search.study.record import Record
from palettune.search.study.study import SearchStudy
from palettune.search.workers.evaluations import Evaluations
from palettune.search.workers.requests import Confirm

__all__ = ["confirm_members", "members_to_confirm"]


def members_to_confirm(front: Front, count: int) -> list[Record]:
    """Choose at most ``count`` members: the knee, every escalated one, then a spread of the others.

    Escalated members were made with data, so theirs are the figures that most need a check.
    """
    if not front.members or not count:
        return []
    knee = front.knee()
    first = [knee, *(r for r in front.members if r.escalated_from is not None and r.trial != knee.trial)]
    chosen = {record.trial for record in first}
    others = tuple(record for record in front.members if record.trial not in chosen)
    left = count - len(first)
    return [*first[:count], *(replace(front, members=others).spread(left) if left > 0 and others else ())]


def confirm_members(
    study: SearchStudy,
    evaluations: Evaluations,
    members: Sequence[Record],
    reporter: Reporter,
    stop: Callable[[], bool],
) -> None:
    """Measure the members that have not been confirmed yet, on the workload's confirmation data."""
    known = study.confirmations()
    missing = [record for record in members if record.key not in known]
    if not missing:
        return
    with reporter.bar("confirming the front on unseen data", len(missing)) as advance:
        left = {record.key: evaluations.submit(_request(record)) for record in missing}
        while left and not stop():
            evaluations.wait(timeout=0.2)
            for key, pending in list(left.items()):
                if pending.answer is None:
                    continue
                del left[key]
                result = pending.answer.result
                if isinstance(result, Failure):
                    reporter.warn(f"configuration {key} could not be confirmed: {result}")
                else:
                    study.confirm(key, result)
                advance(1)


def _request(record: Record) -> Confirm:
    return Confirm(record.configuration, None if record.state is None else (record.state, record.workflow))
