"""The level of scores, from what was measured."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.proposing.score_level import NEAREST, WITHIN, ScoreLevel, score_level
from tests.search.made_up import LAYERS, MENU, record


def test_a_level_is_what_its_evaluations_have_in_common():
    level = ScoreLevel()
    for loss in (0.1, 0.2, 0.4):
        level.add(loss, 3 * loss)
    assert level.divergence(0.2) == pytest.approx(0.6)
    assert level.divergence(0.2 * math.exp(2 * WITHIN)) == pytest.approx(0.2 * math.exp(2 * WITHIN))  # nothing is near


def test_only_the_nearest_count():
    level = ScoreLevel()
    for _ in range(NEAREST):
        level.add(1.0, 2.0)
    for _ in range(NEAREST):
        level.add(1.1, 5.0)
    assert level.divergence(0.99) == pytest.approx(1.98)


def test_nothing_is_known_of_what_scores_do_not_see_until_it_is_measured():
    level = ScoreLevel()
    assert level.divergence(0.0) is None
    level.add(0.0, 0.3)
    level.add(-1.0, 0.1)
    level.add(0.0, 0.2)
    assert level.divergence(0.0) == 0.2
    level.add(0.5, 0.0)  # no logarithm
    assert level.points == []


@given(st.lists(st.tuples(st.floats(1e-4, 1), st.floats(1e-4, 1)), max_size=30), st.floats(1e-4, 1))
def test_the_order_of_evaluations_does_not_matter(pairs, loss):
    one, other = ScoreLevel(), ScoreLevel()
    for pair in pairs:
        one.add(*pair)
    for pair in reversed(pairs):
        other.add(*pair)
    assert sorted(one.ratios(loss)) == sorted(other.ratios(loss))
    assert len(one.ratios(loss)) <= NEAREST


def test_records_teach_it_that_were_measured_without_data_and_once():
    columns = tuple((layer.name, encoding) for layer in LAYERS for encoding in MENU)
    scores = Scores("fisher", columns, np.ones((1, len(columns))))
    plain = record(0, 0.5, 1.0)
    others = [
        replace(plain, evaluation=None),
        replace(plain, answered_from=0),
        replace(plain, escalated_from=0),
    ]
    assert score_level(scores, [plain, *others]).points == [(2.0, math.log(0.25))]
