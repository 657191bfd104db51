"""Confirmation: the front measured on data that the search never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from palettune.evaluators.quality.evaluation import Failure
from palettune.evaluators.workload.workload import Split, Workload
from palettune.search.experiment.reporter import Reporter
from palettune.search.study.record import Record
from palettune.search.study.study import SearchStudy
from palettune.search.workers.worker_pool import WorkerPool

__all__ = ["confirm_members"]


def confirm_members(
    study: SearchStudy,
    pool: WorkerPool,
    members: Sequence[Record],
    workload: Workload,
    reporter: Reporter,
    stop: Callable[[], bool],
) -> None:
    """Measure the members that have not been confirmed yet, where the workload has data for it."""
    if not workload.offers(Split.CONFIRMATION.value):
        return
    known = study.confirmations()
    missing = [record for record in members if record.key not in known]
    if not missing:
        return
    with reporter.bar("confirming the front on unseen data", len(missing)) as advance:
        for record in missing:
            if record.state is None:
                pool.submit(record.key, "confirm", record.configuration.to_json())
            else:
                pool.submit(record.key, "confirm_state", record.state, record.workflow.value)
        left = len(missing)
        while left and not stop():
            for answer in pool.wait(timeout=0.2):
                if isinstance(answer.result, Failure):
                    reporter.warn(f"configuration {answer.key} could not be confirmed: {answer.result}")
                else:
                    study.confirm(answer.key, answer.result)
                left -= 1
                advance(1)
