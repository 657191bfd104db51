"""Endings: which of them leave something to do."""

from palettune.search.results.ending import Ending


def test_a_search_that_was_cut_short_is_not_complete():
    assert {ending for ending in Ending if not ending.complete} == {
        Ending.STOPPED,
        Ending.INTERRUPTED,
        Ending.FAILED,
    }


def test_an_ending_is_read_back_from_its_words():
    assert [Ending(str(ending)) for ending in Ending] == list(Ending)
