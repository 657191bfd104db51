"""The page while a search goes on: there early, anew when it is due, whole at the end, and never in the way."""

import threading

import pytest

from palettune.search.experiment.run_folder import RunFolder
from palettune.search.results.ending import Ending
from palettune.search.review import review_observer
from palettune.search.review.review_facts import ReviewFacts
from palettune.search.review.review_observer import ReviewObserver
from tests.search.review.page_reader import data_of


class Page:
    """Stands for the writing of pages: keeps what was to be written."""

    def __init__(self):
        self.sources, self.wait, self.error = [], None, None

    def __call__(self, source, path):
        if self.wait is not None:
            assert self.wait.wait(10)
        if self.error is not None:
            raise self.error
        self.sources.append(source)


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path, "x")
    made.create()
    return made


@pytest.fixture
def page(monkeypatch):
    made = Page()
    monkeypatch.setattr(review_observer, "write_review", made)
    return made


def ended(observer):
    if observer._thread is not None:
        observer._thread.join(10)


def test_the_last_page_holds_the_whole_search(folder, history, small):
    observer = ReviewObserver(folder, pytest.fail)
    with observer.stage("checking"):
        pass
    observer.on_prepared(small[0])
    observer.on_search_started(history)
    ended(observer)
    assert data_of(folder.review.read_text())["state"] == "running"
    with observer.bar("confirming", 3) as advance:
        advance(3)
    observer.on_finished(Ending.TRIALS, history)
    data = data_of(folder.review.read_text())
    assert (data["state"], data["ending"]) == ("finished", Ending.TRIALS.value)
    assert len(data["trials"]) == len(history.records)
    assert data["checks"]["coverage"] == pytest.approx(small[0].coverage, rel=1e-4)
    facts = ReviewFacts.load(folder.facts)
    assert [phase.name for phase in facts.phases] == ["checking", "confirming"]
    assert facts.ending is Ending.TRIALS


def test_a_search_that_goes_on_keeps_what_earlier_sessions_noted(folder, history, page, small):
    for name in ("first", "second"):
        observer = ReviewObserver(folder, pytest.fail)
        with observer.stage(name):
            pass
        observer.on_prepared(small[0])
        observer.on_search_started(history)
        ended(observer)
        assert ReviewFacts.load(folder.facts).ending is None
        observer.on_finished(Ending.STOPPED, history)
    assert [phase.name for phase in ReviewFacts.load(folder.facts).phases] == ["first", "second"]


def test_pages_are_written_when_they_are_due_and_one_at_a_time(folder, history, page, monkeypatch):
    observer = ReviewObserver(folder, pytest.fail)
    page.wait = threading.Event()
    observer.on_search_started(history)
    for record in history.trials:
        observer.on_trial_finished(record, history)  # the first page is still being written: nobody waits for it
    assert page.sources == []
    page.wait.set()
    ended(observer)
    observer.on_trial_finished(history.trials[-1], history)  # the page is new
    ended(observer)
    assert len(page.sources) == 1
    monkeypatch.setattr(observer, "_due", 0.0)
    observer.on_escalation_finished(history.escalations[-1], history)
    ended(observer)
    assert len(page.sources) == 2
    observer.on_finished(Ending.TRIALS, history)
    assert [source.searching for source in page.sources] == [True, True, False]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ZeroDivisionError("a bug")])
def test_a_page_that_cannot_be_written_is_said_once_and_ends_nothing(folder, history, page, error, monkeypatch):
    said = []
    observer = ReviewObserver(folder, said.append)
    page.error = error
    observer.on_search_started(history)
    ended(observer)
    monkeypatch.setattr(observer, "_due", 0.0)
    observer.on_trial_finished(history.trials[-1], history)
    ended(observer)
    observer.on_finished(Ending.TRIALS, history)
    (words,) = said
    assert str(folder.review) in words
    assert str(error) in words


def test_a_search_that_fails_before_its_first_trial_leaves_no_page(folder):
    observer = ReviewObserver(folder, pytest.fail)
    with pytest.raises(ZeroDivisionError), observer.stage("checking"):
        raise ZeroDivisionError
    assert list(folder.path.iterdir()) == []
