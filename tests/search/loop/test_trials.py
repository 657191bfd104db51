"""Trials: in one order on any workers and after any kill, and none evaluated twice."""

from pathlib import Path

import pytest
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage

from palettune.evaluators.quality.evaluation import Stage
from palettune.search.experiment.experiment import Experiment
from palettune.search.loop.trials import Trials
from palettune.search.results.ending import Ending
from palettune.search.results.search_history import SearchHistory
from palettune.search.workers.recorded_evaluations import RecordedEvaluations
from tests.search.loop.small_searches import (
    MENU,
    SAMPLERS,
    Unordered,
    costs,
    history_of,
    measured,
    sampler_of,
    search,
    space_of,
    trials_of,
)


@pytest.mark.parametrize("sampler", SAMPLERS[:3])
def test_the_same_trials_on_any_workers_and_after_any_kill(sampler):
    def trials(study):
        return [(record.trial, record.configuration.hash) for record in study.records()]

    whole = trials(search(3, sampler)[1])
    assert len(whole) == 27
    assert trials(search(3, sampler, pool=Unordered(5))[1]) == whole
    for stop_after in (1, 9, 20):
        storage = InMemoryStorage()
        assert search(3, sampler, storage=storage, stop_after=stop_after)[0] is Ending.STOPPED
        ending, study, _ = search(3, sampler, storage=storage, pool=Unordered(7))
        assert ending is Ending.EXHAUSTED
        assert trials(study) == whole


@pytest.mark.parametrize("workers", [1, 3])
def test_recorded_evaluations_give_the_same_trials_whatever_they_take(workers):
    def trials(pool):
        return [(record.trial, record.configuration.hash) for record in search(3, pool=pool)[1].records()]

    recorded = RecordedEvaluations(measured, lambda c: 1.0 + int(c.hash, 16) % 7, workers=workers)
    assert trials(recorded) == trials(Unordered(0))
    assert 27 / workers < recorded.clock < 27 * 7


def test_what_a_worker_took_down_is_tried_again():
    ending, study, pool = search(2, pool=Unordered(0, lost=3))
    assert ending is Ending.EXHAUSTED
    good = [record for record in study.records() if record.evaluation is not None]
    assert len({record.configuration.hash for record in good}) == 9 == len(good)
    assert len(pool.evaluated) == 12


def test_what_raised_is_not_tried_again():
    ending, study, pool = search(2, pool=Unordered(0, lost=3, stage=Stage.RAISED))
    assert ending is Ending.EXHAUSTED
    assert len([record for record in study.records() if record.evaluation is not None]) == 6
    assert len(pool.evaluated) == 9 == len(set(pool.evaluated))


def test_repeats_in_a_journal_of_before_are_read():
    storage = InMemoryStorage()
    _, study, _ = search(1, storage=storage, stop_after=2)
    number, configuration = study.data_free.ask(lambda seed: RandomSampler(seed))
    old = study._study.ask()  # as trials were asked before: the sampler may repeat itself
    old.suggest_categorical("l0", [str(encoding) for encoding in MENU])
    for key, value in (("origin", "random"), ("workflow", "data_free"), ("configuration_hash", configuration.hash)):
        old.set_user_attr(key, value)
    ending, study, _ = search(1, storage=storage)
    assert ending is Ending.EXHAUSTED
    assert len({record.configuration.hash for record in study.records()}) == 3
    assert number in [record.trial for record in study.records()]


@pytest.mark.parametrize("sampler", SAMPLERS[:3])
def test_a_proposal_that_a_kill_cut_in_half_is_made_again_the_same(sampler):
    for asked in (4, 12):
        storage = InMemoryStorage()
        _, study, _ = search(3, sampler, trials=asked, storage=storage, in_flight=1)
        number = len(study.records())
        experiment = Experiment(name="x", workload=Path("workload.py"), search={"sampler": sampler})
        study.data_free._view.sampler = sampler_of(
            experiment, space_of(3), SearchHistory(experiment, study, study.objectives)
        )(study.data_free._proposals._seed(number))
        study.data_free._view.ask().suggest_categorical("l0", [str(encoding) for encoding in MENU])
        found = search(3, sampler, storage=storage, in_flight=1)[1].records()
        alone = search(3, sampler, in_flight=1)[1].records()
        assert [record.configuration.hash for record in found] == [record.configuration.hash for record in alone]


class Asked(Unordered):
    """Remembers the requests, in order."""

    def __init__(self):
        super().__init__(0)
        self.requests = []

    def submit(self, request):
        self.requests.append(request)
        return super().submit(request)


def driven(history, pool, screen):
    """The trials, told to their end."""
    trials = trials_of(history, pool, screen)
    trials.resume()
    while trials.fill():
        if trials.waiting:
            pool.wait()
        for record in trials.finished():
            history.add(record)
    return trials


def test_an_evaluation_is_compared_with_the_best_that_cost_no_more_and_uniform_ones_with_none():
    pool = Asked()
    history = history_of(3)
    trials = driven(history, pool, 2)
    by_trial = {record.trial: record for record in history.trials}
    assert trials.ending is Ending.EXHAUSTED
    assert [request.rivals for request in pool.requests[:2]] == [(), ()]  # uniform, and measured in full
    assert [request.screen for request in pool.requests] == [0, 0] + [2] * 25
    compared = 0
    for number, request in enumerate(pool.requests):
        seen = [record for record in history.trials if record.trial <= number - history.experiment.search.in_flight]
        cheaper = [r for r in seen if costs(r.configuration)["size_mb"] <= costs(request.configuration)["size_mb"]]
        best = sorted(r.evaluation.divergence for r in cheaper)[:4] if number >= 2 else []
        assert [by_trial[rival.trial].evaluation.divergence for rival in request.rivals] == best
        compared += len(best)
    assert compared > 25


def test_the_driver_s_time_is_counted_by_errand():
    trials = driven(history_of(1), Unordered(0), 0)
    assert set(trials.seconds) == {"ask", "keep", "tell"}
    assert all(seconds > 0 for seconds in trials.seconds.values())


def test_trials_end_when_the_sampler_only_repeats_itself():
    class Stubborn(RandomSampler):
        def sample_independent(self, study, trial, name, distribution):
            return distribution.choices[0]

    history, pool = history_of(2, trials=100), Unordered(0)
    trials = Trials(history, pool, lambda seed: Stubborn(seed), costs)
    trials.resume()
    while trials.fill():
        if trials.waiting:
            pool.wait()
        for record in trials.finished():
            history.add(record)
    assert trials.ending is Ending.NOTHING_NEW
    assert len(pool.evaluated) == 2  # the first trials, of which one is what the sampler proposes
    assert {record.answered_from for record in history.trials[2:]} == {1}
