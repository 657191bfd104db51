"""Splitting a scoring into parts and joining them."""

import numpy as np
import pytest

from palettune.evaluators.sensitivity.base import ScoringPart, even, join_scores
from palettune.evaluators.sensitivity.scores import Scores
from palettune.space.encoding import Encoding

COLUMNS = tuple((layer, Encoding.parse("lut4")) for layer in "abcd")


@pytest.mark.parametrize(("count", "parts"), [(10, 3), (3, 10), (1, 1), (8, 4)])
def test_ranges_cover_everything_once_and_are_as_equal_as_can_be(count, parts):
    found = even(count, parts)
    assert [i for some in found for i in some] == list(range(count))
    sizes = [len(some) for some in found]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1
    assert len(found) == min(count, parts)


def test_parts_by_samples_and_by_columns_are_joined_in_place():
    table = np.arange(24.0).reshape(6, 4)
    parts = [
        (ScoringPart(columns, samples), _scores(table, columns, samples, signed=True))
        for columns in even(4, 2)
        for samples in even(6, 3)
    ]
    joined = join_scores(parts[::-1])
    assert joined.columns == COLUMNS
    assert np.array_equal(joined.by_sample, table)
    assert np.array_equal(joined.signed, -table)
    assert joined.seconds == 6.0


def test_signed_changes_are_dropped_where_a_part_has_none_and_a_refusal_is_kept():
    table = np.ones((2, 4))
    halves = even(4, 2)
    first = _scores(table, halves[0], range(2), signed=True)
    second = Scores("fisher", COLUMNS[2:], table[:, 2:], None, 1.0, (), "no derivative")
    joined = join_scores([(ScoringPart(halves[0], range(2)), first), (ScoringPart(halves[1], range(2)), second)])
    assert joined.signed is None
    assert joined.refusal == "no derivative"


def _scores(table, columns, samples, signed):
    part = table[samples.start : samples.stop, columns.start : columns.stop]
    return Scores("fisher", COLUMNS[columns.start : columns.stop], part, -part if signed else None, 1.0)
