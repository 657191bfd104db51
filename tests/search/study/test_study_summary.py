"""A study at a glance, read without its experiment."""

from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage

from palettune.evaluators.quality.evaluation import Failure, Stage
from palettune.search.results.front import front_of
from palettune.search.study.study_summary import study_summary
from tests.search.studies import escalate, evaluated, experiment_of, study_of


def test_what_is_evaluated_is_counted_and_the_front_is_that_of_the_study():
    storage = InMemoryStorage()
    study = study_of(storage, experiment_of(constraints={"max_size_mb": 130}))
    records = [evaluated(study) for _ in range(8)]
    evaluated(study, Failure(Stage.FORWARD, "no"))
    escalate(study, records[0])
    found = study_summary(storage, "x")
    assert (found.evaluations, found.escalations, found.unfinished) == (8, 1, 0)
    members = front_of(study.evaluations(), study.objectives).members
    assert members  # some meet the constraint, and some do not
    assert len(members) < 9
    assert sorted(found.front) == [(r.costs["size_mb"], r.evaluation.divergence) for r in members]


def test_trials_that_were_begun_are_unfinished():
    storage = InMemoryStorage()
    study = study_of(storage)
    study.data_free.ask(RandomSampler)
    found = study_summary(storage, "x")
    assert (found.evaluations, found.unfinished, found.front) == (0, 1, ())


def test_there_is_none_of_another_name():
    storage = InMemoryStorage()
    study_of(storage)
    assert study_summary(storage, "other") is None
