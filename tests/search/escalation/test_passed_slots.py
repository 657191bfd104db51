"""Turns at which nothing can be escalated: one turn each, in a search that goes on as in one that was not interrupted."""

from types import SimpleNamespace

import pytest
from optuna.storages import InMemoryStorage

from palettune.search.escalation.escalations import Escalations
from palettune.search.escalation.promotion import Slot
from palettune.search.workers.evaluations import Answer, Pending
from tests.search.studies import calibrated, evaluated, experiment_of, study_of

TRIALS = 6


class FromTheThird:
    """One turn after each of the first four evaluations; the first two find nothing."""

    def schedule(self, settings, trials):
        return [Slot(settings.rung("calibration"), after) for after in (1, 2, 3, 4)]

    def promote(self, slot, seen, objectives, asks):
        return seen.records[-1] if len(seen.records) > 2 else None


class AtOnce:
    def __init__(self, study):
        self.study = study

    def submit(self, request):
        record = next(r for r in self.study.records() if r.configuration == request.order.configuration)
        pending = Pending(request)
        pending.answer = Answer(calibrated(record), (3.0, 4.0))
        return pending


def escalated(killed_after=()):
    """Trials whose results were escalated, in order, and the study."""
    experiment = experiment_of(escalation={"calibration": 4, "in_flight": 1}, budget={"trials": TRIALS})
    storage = InMemoryStorage()

    def begun():
        study = study_of(storage, experiment)
        records = study.records()
        preparation = SimpleNamespace(experiment=experiment)
        return (
            study,
            records,
            Escalations(preparation, study, study.objectives, records, AtOnce(study), print, FromTheThird()),
        )

    study, records, escalations = begun()
    for place in range(TRIALS):
        records.append(evaluated(study))
        for _ in range(3):
            list(escalations.poll())
        if place in killed_after:
            study, records, escalations = begun()
    escalations.end_of_trials()
    list(escalations.poll())
    return [record.configuration.hash for record in escalations.finished], escalations


@pytest.mark.parametrize("killed_after", [(0,), (1,), (2,), (0, 1, 2, 3)])
def test_a_turn_without_a_candidate_is_one_turn_and_is_remembered(killed_after):
    alone, ended = escalated()
    assert len(alone) == 2  # the rung is not closed by the turns that found nothing
    assert ended.left == 0
    again, ended = escalated(killed_after)
    assert again == alone
    assert ended.left == 0
