"""The smallest member with a figure."""

from dataclasses import replace

import pytest

from palettune.search.results.front import PickError
from palettune.search.results.front_members.figure_bound import is_figure_bound, smallest_within_figure
from tests.search.made_up import front


def members():
    found = front().members
    return tuple(replace(r, evaluation=replace(r.evaluation, metrics={"top1": r.trial / 10})) for r in found)


@pytest.mark.parametrize(
    ("word", "trial"),
    [("divergence<0.05", 3), ("divergence<=0.05", 2), ("divergence < 4e-1", 2), ("top1>0.2", 3), ("top1>=.2", 2)],
)
def test_the_smallest_member_that_meets_the_bound_is_found(word, trial):
    assert is_figure_bound(word)
    assert smallest_within_figure(members(), word).trial == trial


def test_what_nobody_meets_and_what_is_no_figure_is_said():
    with pytest.raises(PickError, match=r"divergence<0\.01: no member has that; the least is 0\.03"):
        smallest_within_figure(members(), "divergence<0.01")
    with pytest.raises(PickError, match=r"no figure 'top2'; did you mean 'top1'\?; there are divergence, top1"):
        smallest_within_figure(members(), "top2>0.1")
    assert not any(is_figure_bound(word) for word in ("knee", "spread:3", "divergence<", "<3", "a<b"))
