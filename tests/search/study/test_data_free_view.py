"""The study as samplers see it."""

from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from palettune.search.study.data_free_view import DataFreeView
from tests.search.studies import escalate, evaluated, study_of


def test_escalations_are_out_of_sight_in_whatever_state_they_are():
    storage = InMemoryStorage()
    study = study_of(storage)
    first = evaluated(study)
    escalated = escalate(study, first)
    under_way = study.escalations.decide(study._experiment.escalation.calibration, first)
    second = evaluated(study)
    view = DataFreeView("x", storage)
    assert [trial.number for trial in view.trials] == [first.trial, second.trial]
    assert [trial.number for trial in view.get_trials(states=(TrialState.RUNNING,))] == []
    assert [first.trial, escalated.trial, under_way.trial, second.trial] == [0, 1, 2, 3]
    assert {trial.number for trial in view.best_trials} <= {first.trial, second.trial}
