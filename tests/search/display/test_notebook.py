"""The notebook's observer, where there is no notebook: plain lines, and the page that a notebook would show."""

import re

import pytest

from palettune.search.display import notebook
from palettune.search.display.notebook import NotebookObserver, in_notebook
from palettune.search.results.ending import Ending


class Screen:
    """A cell's output."""

    def __init__(self):
        self.pages, self.lines = [], []

    def show(self, html):
        self.pages.append(html)

    def line(self, text):
        self.lines.append(text)


class Front:
    members = ()


class History:
    """As much of a search's history as is shown while nothing is on the front."""

    def __init__(self, evaluated):
        self.evaluated, self.escalations, self.front, self.hypervolume, self.records = evaluated, [], Front(), 0.25, []
        self.experiment = type("E", (), {"name": "tiny", "budget": type("B", (), {"trials": 8})})


@pytest.fixture
def screen(monkeypatch):
    shown = Screen()
    monkeypatch.setattr(notebook, "_PlainText", lambda: shown)
    return shown


def test_outside_a_notebook_lines_are_printed(capsys):
    assert not in_notebook()
    observer = NotebookObserver()
    with observer.stage("checking"):
        observer.warn("look out")
    observer.on_finished(Ending.TRIALS, History(8))
    said = capsys.readouterr().out
    assert said.splitlines()[:2] == ["checking ...", "note: look out"]
    assert "8 of 8 trials; 0 on the front; hypervolume 0.2500" in said
    assert said.splitlines()[-1] == Ending.TRIALS.value


def test_the_page_follows_what_is_done(screen):
    observer = NotebookObserver()
    with observer.bar("compressing <layers>", 4) as advance:
        advance(1)
        observer.say("and so on")
        assert "compressing &lt;layers&gt;: 1 of 4" in screen.pages[-1]
        assert 'value="0.250"' in screen.pages[-1]
        assert "<li>and so on</li>" in screen.pages[-1]
    observer.on_trial_finished(None, History(2))
    observer.on_finished(Ending.STOPPED, History(3))
    assert "3 of 8 trials" in screen.pages[-1]
    assert re.search(r"<div>stopped", screen.pages[-1])


def test_only_the_last_notes_stay_in_view(screen):
    observer = NotebookObserver()
    for number in range(20):
        observer.say(f"sentence {number}.")
    assert "sentence 19." in screen.pages[-1]
    assert "sentence 3." not in screen.pages[-1]
