"""Confirmation: the front measured on data that the search never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from palettune.evaluators.quality.evaluation import Failure
from palettune.search.experiment.reporter import Reporter
from palettune.search.study.record import Record
from palettune.search.study.study import SearchStudy
from palettune.search.workers.evaluations import Evaluations
from palettune.search.workers.requests import Confirm

__all__ = ["confirm_members"]


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
