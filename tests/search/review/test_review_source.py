"""What a review is made of, while a search goes on and after it."""

from dataclasses import replace
from pathlib import Path

import pytest

from palettune.search.experiment.folder_lock import hold
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.results.ending import Ending
from palettune.search.review.review_facts import ReviewFacts
from palettune.search.review.review_source import ReviewSource


def test_a_search_that_goes_on_is_taken_as_it_is_now(history, tmp_path):
    made = ReviewSource.of(history, RunFolder(tmp_path, "x"), ReviewFacts(), None, searching=True)
    assert made.state == "running"
    assert list(made.records) == list(history.records)
    assert made.front.members == history.front.members
    ended = ReviewSource.of(history, RunFolder(tmp_path, "x"), ReviewFacts(ending=Ending.STOPPED), None)
    assert ended.state == "stopped"


@pytest.mark.parametrize(
    ("facts", "trials", "state"),
    [
        (ReviewFacts(ending=Ending.EXHAUSTED), 100, "finished"),
        (ReviewFacts(ending=Ending.INTERRUPTED), 100, "stopped"),
        (ReviewFacts(), 100, "stopped"),  # killed, or of a version that noted no ending
        (ReviewFacts(), 6, "finished"),
    ],
)
def test_what_became_of_a_search_is_known_from_its_ending_or_its_budget(source, facts, trials, state):
    budget = source.experiment.budget.model_copy(update={"trials": trials})
    experiment = source.experiment.model_copy(update={"budget": budget})
    assert replace(source, facts=facts, experiment=experiment).state == state


def test_a_run_folder_in_which_a_search_is_at_work_is_running(frozen):
    assert frozen._review_source().state == "finished"
    with hold(frozen.folder, pytest.fail):
        assert frozen._review_source().state == "running"
    assert frozen._review_source().state == "finished"


def test_facts_of_another_search_under_the_same_name_are_not_taken(frozen):
    try:
        ReviewFacts(search_id="another", coverage=0.5).save(frozen.folder.facts)
        assert frozen._review_source().facts == ReviewFacts()
        own = ReviewFacts(search_id=frozen._study.context.search_id, coverage=0.5)
        own.save(frozen.folder.facts)
        assert frozen._review_source().facts == own
    finally:
        frozen.folder.facts.unlink()


def test_commands_find_the_run_without_telling_secrets(source):
    assert replace(source, folder=RunFolder(Path("runs"), "x")).options == ""
    elsewhere = RunFolder(Path("my runs"), "x")
    found = replace(source, folder=elsewhere, storage="postgresql://me:secret@host/name").options
    assert found == "--root 'my runs' --storage postgresql://host/name"
