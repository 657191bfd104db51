"""The search as a whole: how it ends, and who hears of it."""

import pytest
from optuna.storages import InMemoryStorage

from palettune.search.loop.confirmation import members_to_confirm
from palettune.search.loop.search import Search
from palettune.search.results.ending import Ending
from palettune.search.results.observer import SearchObserver
from palettune.search.results.search_history import SearchHistory
from palettune.search.workers.recorded_evaluations import RecordedEvaluations
from tests.search.loop.small_searches import SAMPLERS, Unordered, history_of, measured, search, trials_of


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("layers", [1, 2])
def test_a_space_that_is_exhausted_ends_the_search_without_a_repeat(sampler, layers):
    ending, study, pool = search(layers, sampler)
    assert ending is Ending.EXHAUSTED
    assert "every configuration" in ending.value
    records = study.records()
    assert len(records) == 3**layers == len({r.configuration.hash for r in records})
    assert all(record.answered_from is None for record in records)
    assert sorted(pool.evaluated) == sorted(record.configuration.hash for record in records)
    assert search(layers, sampler, trials=200)[0] is Ending.EXHAUSTED


def test_the_history_read_back_is_the_one_that_grew():
    class Listener(SearchObserver):
        def on_search_started(self, history):
            self.before = len(history.steps)

        def on_trial_finished(self, record, history):
            self.history = history

    storage, listener = InMemoryStorage(), Listener()
    _, study, _ = search(2, storage=storage, observer=listener)
    grown = listener.history
    read = SearchHistory(grown.experiment, study, grown.objectives)
    assert listener.before == 0
    assert [step.record.trial for step in read.steps] == [step.record.trial for step in grown.steps] == list(range(9))
    assert [step.metrics for step in read.steps] == [step.metrics for step in grown.steps]
    assert read.front.members == grown.front.members
    assert (read.evaluated, read.hypervolume) == (grown.evaluated, grown.hypervolume) == (9, grown.hypervolume)
    assert read.escalations == []


def test_a_budget_below_the_space_is_spent_and_a_larger_one_goes_on_to_its_end():
    storage = InMemoryStorage()
    assert search(2, trials=5, storage=storage)[0] is Ending.TRIALS
    ending, study, pool = search(2, trials=50, storage=storage)
    assert (ending, len(study.records()), len(pool.evaluated)) == (Ending.EXHAUSTED, 9, 4)


@pytest.mark.parametrize(("error", "ending"), [(KeyboardInterrupt, Ending.INTERRUPTED), (OSError, Ending.FAILED)])
def test_the_end_is_heard_of_once_whatever_the_reason(error, ending):
    class Breaking(Unordered):
        def wait(self, timeout=None):
            if len(self.evaluated) == 3:
                raise error
            super().wait(timeout)

    class Listener(SearchObserver):
        endings = ()

        def on_finished(self, ending, history):
            self.endings = (*self.endings, ending)

    listener, storage = Listener(), InMemoryStorage()
    with pytest.raises(error):
        search(2, pool=Breaking(0), storage=storage, observer=listener)
    assert listener.endings == (ending,)
    assert search(2, storage=storage)[0] is Ending.EXHAUSTED  # goes on


def test_members_of_the_front_are_confirmed_at_the_end_and_only_then():
    for trials, stopped in ((100, False), (100, True)):
        history = history_of(2, trials=trials)
        pool = RecordedEvaluations(measured, confirmations=measured)
        Search(history, pool, trials_of(history, pool), stop=lambda stopped=stopped: stopped, confirm=2).run()
        confirmed = history.confirmations
        assert set(confirmed) == (set() if stopped else {record.key for record in members_to_confirm(history.front, 2)})
