"""Intervals of measured divergences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.search.results.intervals import interval, sources


def evaluation(by_sample):
    return Evaluation("x", Workflow.DATA_FREE, float(np.mean(by_sample)), tuple(by_sample))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(1e-6, 10), min_size=8, max_size=40))
def test_an_interval_holds_the_mean_and_lies_within_the_samples(by_sample):
    low, high = interval(evaluation(by_sample))
    assert min(by_sample) - 1e-9 <= low <= np.mean(by_sample) + 1e-9
    assert np.mean(by_sample) - 1e-9 <= high <= max(by_sample) + 1e-9


def test_it_is_the_same_every_time_and_wider_where_more_is_to_be_sure_of():
    found = evaluation(np.random.default_rng(0).exponential(size=24))
    assert interval(found) == interval(found)
    (low, high), (lowest, highest) = interval(found, 0.5), interval(found, 0.99)
    assert lowest < low < high < highest


def test_more_samples_are_surer():
    few, many = (np.random.default_rng(0).exponential(size=count) for count in (10, 1000))
    widths = [high - low for low, high in (interval(evaluation(found)) for found in (few, many))]
    assert widths[1] < 0.5 * widths[0]


def test_too_few_samples_have_none_and_equal_ones_no_width():
    assert interval(evaluation([0.1] * 7)) is None
    assert interval(evaluation([0.1] * 8)) == pytest.approx((0.1, 0.1))


def test_samples_of_one_source_are_drawn_together():
    found = np.repeat(np.random.default_rng(0).exponential(size=24), 4)  # four equal samples of each source
    alone, together = evaluation(found), evaluation(found).grouped([i // 4 for i in range(96)])
    (low, high), (lowest, highest) = interval(alone), interval(together)
    assert 1.5 < (highest - lowest) / (high - low) < 2.6  # 24 sources tell half as much as 96
    assert (sources(alone), sources(together)) == (96, 24)
    of_sources = interval(evaluation(found[::4]))
    assert (lowest, highest) == pytest.approx(of_sources, rel=0.1)


def test_few_sources_have_no_interval_however_many_samples_they_gave():
    assert interval(evaluation(np.arange(40.0)).grouped([i % 7 for i in range(40)])) is None
    assert interval(evaluation(np.arange(40.0)).grouped([i % 8 for i in range(40)])) is not None


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(1e-6, 10), st.integers(0, 30)), min_size=20, max_size=60))
def test_an_interval_of_groups_lies_within_the_samples_and_its_order_means_nothing(rows):
    values, groups = zip(*rows, strict=True)
    ends = interval(evaluation(values).grouped(groups))
    if ends is not None:
        assert min(values) - 1e-9 <= ends[0] <= ends[1] <= max(values) + 1e-9
        renamed = interval(evaluation(values).grouped([10 * g for g in groups]))
        assert renamed == pytest.approx(ends)
