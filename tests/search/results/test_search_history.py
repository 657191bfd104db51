"""The history of a search, grown trial by trial and read back from its study."""

from dataclasses import replace

import pytest
from optuna.storages import InMemoryStorage

from palettune.evaluators.quality.evaluation import Failure, Stage
from palettune.search.results.front import front_of
from palettune.search.results.search_history import SearchHistory
from tests.search.made_up import measured
from tests.search.studies import escalate, evaluated, evaluation, experiment_of, study_of


def history_of(study):
    return SearchHistory(experiment_of(), study, study.objectives)


def test_one_that_grows_is_the_one_that_is_read_back():
    storage = InMemoryStorage()
    study = study_of(storage)
    grown = history_of(study)
    for number in range(6):
        grown.add(evaluated(study, Failure(Stage.FORWARD, "no") if number == 2 else None))
        if number == 3:
            grown.add(escalate(study, grown.trials[0]))
    read = history_of(study_of(storage))
    assert read.steps == grown.steps
    assert read.front == grown.front == front_of(grown.records, study.objectives)
    assert [record.escalated_from for record in read.escalations] == [0]
    assert [record.trial for record in read.records] == [0, 1, 2, 3, 4, 5, 6]
    assert len(read.trials) == read.evaluated == 6
    assert read.hypervolume == grown.hypervolume == grown.steps[-1].metrics["hypervolume"] > 0


def test_answers_of_before_are_trials_and_no_evaluations():
    study = study_of()
    history = history_of(study)
    first = evaluated(study)
    history.add(first)
    history.add(replace(first, trial=1, answered_from=0))
    assert (len(history.trials), history.evaluated) == (2, 1)
    assert [record.trial for record in history.front] == [0]


def test_the_front_follows_what_is_added():
    study = study_of()
    history = history_of(study)
    assert history.front.members == ()
    for _ in range(5):
        history.add(evaluated(study))
        assert history.front == front_of(history.records, study.objectives)


def test_measurements_are_of_the_first_record_of_their_configuration_once_they_are_learned():
    study = study_of()
    first = evaluated(study)
    escalate(study, first)
    history = history_of(study)
    study.keep_measurement(first.configuration.hash, measured(4.5))
    study.keep_measurement("of another search", measured(1.0))
    assert history.measured() == []
    history.learn_latencies()
    assert history.measured() == [(first, measured(4.5))]
    assert history.front.known.ms(history.escalations[0]) == pytest.approx(4.5)


def test_confirmations_are_those_of_the_study():
    study = study_of()
    first = evaluated(study)
    history = history_of(study)
    study.confirm(first.key, evaluation(first.configuration, share=2.0))
    assert history.confirmations == {first.key: evaluation(first.configuration, share=2.0)}
