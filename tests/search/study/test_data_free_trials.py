"""Data-free trials: asked for and told in order, and each step written before the next."""

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from palettune.search.study.record import FirstTrial
from tests.search.studies import MENU, SPACE, costs, evaluated, evaluation, experiment_of, study_of

FIRST = [FirstTrial(f"uniform {encoding}", SPACE.uniform(encoding)) for encoding in MENU]


def test_first_trials_come_first_and_are_enqueued_once():
    storage = InMemoryStorage()
    study = study_of(storage)
    study.data_free.enqueue(FIRST[:2])
    study_of(storage).data_free.enqueue(FIRST)  # the call that was interrupted, again
    study = study_of(storage)
    found = [evaluated(study) for _ in range(4)]
    assert [record.origin for record in found] == ["uniform fp16", "uniform int8", "uniform lut4", "random"]
    assert [record.configuration for record in found[:3]] == [first.configuration for first in FIRST]


def test_what_is_under_way_is_read_back_with_the_result_that_was_kept():
    storage = InMemoryStorage()
    study = study_of(storage)
    first, second = study.data_free.ask(RandomSampler), study.data_free.ask(RandomSampler)
    study.data_free.keep(second[0], evaluation(second[1]), (1.0, 2.0))
    again = study_of(storage)
    assert again.records() == []
    assert again.data_free.interrupted(RandomSampler) == [(*first, None), (*second, evaluation(second[1]))]


def test_an_answer_has_the_result_of_the_trial_that_it_is_of():
    storage = InMemoryStorage()
    study = study_of(storage)
    source = evaluated(study)
    number, _ = study.data_free.ask(RandomSampler)
    study.data_free.answer(number, source.trial)
    study.data_free.tell(number, source.evaluation, source.costs, study.objectives)
    read = study_of(storage).records()[1]
    assert (read.answered_from, read.evaluation, read.values) == (source.trial, source.evaluation, source.values)


def test_records_are_told_to_optuna_with_their_values_and_violations():
    storage, experiment = InMemoryStorage(), experiment_of(constraints={"max_size_mb": 1.0})
    study = study_of(storage, experiment)
    number, configuration = study.data_free.ask(RandomSampler)
    record = study.data_free.tell(number, evaluation(configuration), costs(configuration), study.objectives)
    trial = optuna.load_study(study_name="x", storage=storage).trials[0]
    assert trial.state == TrialState.COMPLETE
    assert tuple(trial.values) == record.values == (record.evaluation.divergence, record.costs["size_mb"])
    assert trial.user_attrs["constraints"] == [pytest.approx(record.costs["size_mb"] - 1.0)]
    assert trial.constraints == {"max_size_mb": pytest.approx(record.costs["size_mb"] - 1.0)}
    assert not record.feasible
