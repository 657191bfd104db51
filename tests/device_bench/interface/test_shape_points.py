"""The shapes at which flexible inputs are checked."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from palettune.device_bench.interface.shape_points import in_shape, in_words, shape_points

FIXED = [((1, 1), (8, 8))]
RANGE = [((1, 1), (4, 64))]
LIST = [((1, 1), (16, 16)), ((1, 1), (32, 32))]


def test_a_range_is_checked_at_its_ends_and_in_between():
    assert shape_points([RANGE], [(1, 24)]) == (((1, 4),), ((1, 34),), ((1, 64),))


def test_each_enumerated_shape_is_checked_and_those_of_two_inputs_go_together():
    assert shape_points([LIST, LIST], [(1, 16), (1, 16)]) == (((1, 16), (1, 16)), ((1, 32), (1, 32)))


def test_inputs_that_are_fixed_keep_their_shape_and_ends_go_with_ends():
    assert shape_points([RANGE, FIXED], [(1, 24), (1, 8)])[0] == ((1, 4), (1, 8))
    found = shape_points([RANGE, LIST], [(1, 24), (1, 16)])
    assert (found[0], found[-1]) == (((1, 4), (1, 16)), ((1, 64), (1, 32)))


def test_nothing_flexible_is_checked_nowhere():
    assert shape_points([FIXED, []], [(1, 8), (3,)]) == ()
    assert shape_points([], []) == ()


def test_a_range_without_an_end_is_checked_to_twice_the_example():
    assert shape_points([[((1, None),)]], [(10,)])[-1] == ((20,),)


@given(
    bounds=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=4),
    count=st.integers(1, 3),
)
def test_every_point_lies_in_the_range_and_equal_ranges_stay_equal(bounds, count):
    choice = [(low, low + more) for low, more in bounds]
    points = shape_points([[choice]] * count, [tuple(low for low, _ in choice)] * count)
    for point in points:
        assert len(set(point)) == 1
        assert all(low <= size <= high for size, (low, high) in zip(point[0], choice, strict=True))
    assert len(set(points)) == len(points)


def test_elements_are_repeated_or_cut():
    value = torch.tensor([[1, 2, 3]])
    assert in_shape(value, (1, 5)).tolist() == [[1, 2, 3, 1, 2]]
    assert in_shape(value, (1, 2)).tolist() == [[1, 2]]
    assert in_shape(value, (1, 3)) is value
    assert in_words(["x"], [(1, 2)]) == "x (1, 2)"
