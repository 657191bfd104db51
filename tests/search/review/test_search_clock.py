"""The clock of a search."""

from hypothesis import given
from hypothesis import strategies as st

from palettune.search.review.search_clock import SearchClock


def test_nights_between_sessions_are_left_out():
    clock = SearchClock([(1000.0, 1010.0), (1005.0, 1030.0), (9000.0, 9010.0)])
    assert clock.seconds == 40.0
    assert clock.at(1000.0) == 0.0
    assert clock.at(1020.0) == 20.0
    assert clock.at(5000.0) == 30.0
    assert clock.at(9004.0) == 34.0


def test_short_pauses_are_part_of_the_search():
    assert SearchClock([(1000.0, 1010.0), (1040.0, 1050.0)]).seconds == 50.0


def test_what_is_not_known_has_no_moment():
    assert SearchClock([]).seconds == 0.0
    assert SearchClock([]).at(5.0) is None
    clock = SearchClock([(0.0, 0.0), (1000.0, 1001.0)])
    assert clock.seconds == 1.0
    assert clock.at(999.0) is None


@given(st.lists(st.tuples(st.floats(1, 1e6), st.floats(0, 1e4)), min_size=1), st.floats(1, 1e6), st.floats(1, 1e6))
def test_later_moments_are_never_earlier(spans, one, other):
    clock = SearchClock([(begin, begin + length) for begin, length in spans])
    first, second = sorted((one, other))
    early, late = clock.at(first), clock.at(second)
    assert early is None or (late is not None and 0 <= early <= late + 1e-6 <= clock.seconds + 2e-6)
