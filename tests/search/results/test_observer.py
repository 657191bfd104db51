"""Observers of a search: what is heard, in which order, and off the main thread."""

import threading

import pytest

from palettune.search.experiment.experiment import load_experiment
from palettune.search.loop.session import Places, run_session
from palettune.search.results.ending import Ending
from palettune.search.results.observer import Observers, SearchObserver
from tests.search.conftest import EXPERIMENT


class Listener(SearchObserver):
    """Keeps what it hears."""

    def __init__(self):
        self.heard = []

    def on_prepared(self, preparation):
        self.heard.append(("prepared", len(preparation.layers)))

    def on_search_started(self, history):
        self.heard.append(("started", len(history.records)))

    def on_trial_finished(self, record, history):
        assert history.records[-1] is record
        self.heard.append(("trial", record.trial))

    def on_escalation_finished(self, record, history):
        assert history.escalations[-1] is record
        self.heard.append(("escalation", record.escalated_from))

    def on_finished(self, ending, history):
        self.heard.append(("finished", ending))


def searched(project, *observers, stop=lambda: False):
    """An inline search in a thread of its own, as in a notebook's server."""
    found = []
    places = Places(project.root, inline=True)
    thread = threading.Thread(
        target=lambda: found.append(run_session(load_experiment(project.experiment), places, observers, stop=stop))
    )
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.slow
def test_every_event_is_heard_in_order_off_the_main_thread(project):
    project.write(EXPERIMENT.replace("trials = 14", "trials = 6") + "\n[escalation]\ncalibration = 1\n")
    listener = Listener()
    outcome = searched(project, listener)
    kinds = [kind for kind, _ in listener.heard]
    assert kinds[:2] == ["prepared", "started"]
    assert kinds[-1] == "finished"
    assert [value for kind, value in listener.heard if kind == "trial"] == list(range(6))
    assert kinds.count("escalation") == 1
    assert listener.heard[-1] == ("finished", outcome.ending) == ("finished", Ending.TRIALS)
    again = Listener()
    searched(project, again)  # goes on: nothing is left
    assert ("started", 7) in again.heard
    assert not [kind for kind, _ in again.heard if kind == "trial"]


@pytest.mark.slow
def test_a_request_to_stop_ends_the_search_which_goes_on_later(project):
    project.write(EXPERIMENT.replace("trials = 14", "trials = 9"))
    listener = Listener()
    outcome = searched(project, listener, stop=lambda: len(listener.heard) > 5)
    assert outcome.ending is Ending.STOPPED
    assert listener.heard[-1] == ("finished", Ending.STOPPED)
    later = Listener()
    assert searched(project, later).ending is Ending.TRIALS
    told = [value for kind, value in (*listener.heard, *later.heard) if kind == "trial"]
    assert told == list(range(9))


def test_several_observers_hear_the_same_stages_bars_and_words():
    class Words(SearchObserver):
        def __init__(self):
            self.said = []

        def bar(self, name, total):
            self.said.append((name, total))
            return super().bar(name, total)

        def say(self, message):
            self.said.append(message)

        def warn(self, message):
            self.said.append(message)

    one, two = Words(), Words()
    both = Observers([one, two])
    with both.stage("a stage"), both.bar("a bar", 3) as advance:
        advance(3)
        both.say("said")
        both.warn("warned")
    assert one.said == two.said == [("a bar", 3), "said", "warned"]


@pytest.mark.slow
def test_an_observer_that_raises_is_a_bug_and_the_others_hear_the_end(project):
    class Raising(SearchObserver):
        def on_trial_finished(self, record, history):
            raise RuntimeError("no")

    listener = Listener()
    with pytest.raises(RuntimeError, match="no"):
        run_session(load_experiment(project.experiment), Places(project.root, inline=True), [listener, Raising()])
    assert listener.heard[-1] == ("finished", Ending.FAILED)
