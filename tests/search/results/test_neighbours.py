"""Neighbours that samples tell apart, and those that they do not."""

from dataclasses import replace

import numpy as np
import pytest

from palettune.search.results.neighbours import (
    alike_pairs,
    distinct_members,
    paired_interval,
    paired_test,
    told_apart,
)
from tests.search.made_up import record

SAMPLES = np.random.default_rng(1).exponential(size=64)
NOISE = np.random.default_rng(2).normal(size=64)


def member(trial, factor, noise=0.0, groups=(), seed=2):
    values = factor * SAMPLES + noise * np.random.default_rng(seed).normal(size=64)
    made = record(trial, float(values.mean()), float(trial + 1))
    return replace(made, evaluation=replace(made.evaluation, by_sample=tuple(values)).grouped(groups))


def test_pairs_of_samples_tell_what_intervals_of_each_do_not():
    first, second = member(0, 1.0), member(1, 0.9)  # a tenth better on every sample, which differ by far more
    ends = paired_interval(first.evaluation, second.evaluation)
    assert ends[1] < 0
    assert told_apart(first, second)
    assert alike_pairs([first, second]) == ()


def test_a_difference_within_the_noise_is_none():
    first, second = member(0, 1.0), member(1, 1.0, noise=0.5)
    assert not told_apart(first, second)
    assert alike_pairs([first, second, member(2, 0.3)]) == ((first, second),)


def test_samples_of_one_source_count_once():
    noise = np.repeat(np.random.default_rng(3).normal(size=16), 4)
    better = noise - np.mean(noise) - 0.35
    base = member(0, 1.0)
    shifted = replace(
        base,
        trial=1,
        evaluation=replace(base.evaluation, by_sample=tuple(np.array(base.evaluation.by_sample) + better)),
    )
    groups = [i // 4 for i in range(64)]
    assert told_apart(base, shifted)
    grouped = [replace(r, evaluation=r.evaluation.grouped(groups)) for r in (base, shifted)]
    assert not told_apart(*grouped)


@pytest.mark.parametrize("count", [0, 4])
def test_where_there_is_no_test_members_stay_apart(count):
    few = [
        replace(member(i, 1.0), evaluation=replace(member(i, 1.0).evaluation, by_sample=(0.1,) * count)) for i in (0, 1)
    ]
    assert told_apart(*few)
    assert told_apart(few[0], member(1, 1.0))  # other samples
    assert told_apart(few[0], replace(few[1], evaluation=None))
    assert paired_test(*few) is paired_test(few[0], replace(few[1], evaluation=None)) is None


def test_of_a_row_of_like_members_the_first_stays_and_both_ends_do():
    members = [record(i, 1.0, i + 1.0) for i in range(6)]
    like = {(0, 1), (2, 3), (2, 4), (4, 5), (2, 5)}
    found = distinct_members(members, lambda a, b: (a.trial, b.trial) not in like)
    assert [r.trial for r in found] == [0, 5]  # 2 is like 5, the end, which stands for it
    found = distinct_members(members[:4], lambda a, b: (a.trial, b.trial) not in like - {(2, 3)})
    assert [r.trial for r in found] == [0, 2, 3]
    assert [r.trial for r in distinct_members(members[:2], lambda a, b: False)] == [0, 1]
    assert distinct_members([]) == []
