"""What a search notes for its review."""

from dataclasses import replace

import pytest

from palettune.search.results.ending import Ending
from palettune.search.review.review_facts import Phase, ReviewFacts, Uncompressed, came_to_its_end

FACTS = ReviewFacts(
    "id", 0.997, (Uncompressed("position", 8192, "why"),), ("a note",), (Phase("scoring", 1.0, 2.0),), Ending.TRIALS
)


@pytest.mark.parametrize("facts", [FACTS, ReviewFacts(), replace(FACTS, ending=None)])
def test_facts_are_read_back(facts, tmp_path):
    facts.save(tmp_path / "facts.json")
    assert ReviewFacts.load(tmp_path / "facts.json") == facts
    assert [path.name for path in tmp_path.iterdir()] == ["facts.json"]


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"search_id": 3}', '{"search_id": "", "coverage": null'])
def test_what_is_not_there_or_of_another_version_is_nothing(text, tmp_path):
    if text is not None:
        (tmp_path / "facts.json").write_text(text)
    assert ReviewFacts.load(tmp_path / "facts.json") == ReviewFacts()


def test_a_search_that_goes_on_keeps_its_earlier_phases_and_no_other_search_s():
    now = replace(FACTS, phases=(Phase("scoring", 5.0, 6.0),), ending=None)
    assert now.after(FACTS).phases == (*FACTS.phases, *now.phases)
    assert now.after(FACTS).ending is None
    assert now.after(replace(FACTS, search_id="another")) == now


@pytest.mark.parametrize("ending", [Ending.ADDED, Ending.STOPPED, None])
def test_a_session_that_only_adds_keeps_what_is_known_of_the_model_and_how_the_search_ended(ending):
    adding = ReviewFacts("id", phases=(Phase("adding", 5.0, 6.0),), ending=ending)
    assert adding.after(FACTS) == replace(FACTS, phases=(*FACTS.phases, *adding.phases))
    if ending is Ending.ADDED:  # to a run of an earlier version, of which nobody knows how it ended
        assert adding.after(ReviewFacts()).ending is None


@pytest.mark.parametrize(("ending", "complete"), [(Ending.TRIALS, True), (Ending.INTERRUPTED, False), (None, None)])
def test_a_search_came_to_its_end_or_was_stopped_or_nobody_knows(ending, complete, tmp_path):
    assert came_to_its_end(tmp_path / "facts.json") is None
    replace(FACTS, ending=ending).save(tmp_path / "facts.json")
    assert came_to_its_end(tmp_path / "facts.json") is complete
