"""Words that pick evaluations, on the front and beside it."""

from dataclasses import replace

import pytest

from palettune.evaluators.quality.evaluation import Failure, Stage
from palettune.search.results.front import Front, Limits, PickError
from palettune.search.results.front_members.picks import Picks, best_within
from tests.search.made_up import OBJECTIVES, SPACE, front, record

UNIFORM = replace(record(10, 0.5, 4.0, encodings=("lut8", "lut8")), origin="uniform lut8")
REPEAT = replace(record(11, 0.5, 4.0, encodings=("lut8", "lut8")), answered_from=10)
FAILED = replace(record(12, 0.5, 4.0), evaluation=None, failure=Failure(Stage.FORWARD, "why"))
PICKS = Picks(front(), (*front().members, UNIFORM, REPEAT, FAILED), SPACE, {"ours": 10})


def trials(*words, **bounds):
    return [found.trial for found in PICKS.pick(words, Limits(**bounds))]


def test_members_and_trials_beside_the_front_are_picked_each_once():
    assert trials("smallest", "knee", "0", "2") == [0, 2]
    assert trials("divergence<0.05") == [3]
    assert trials("10") == trials("11") == trials("uniform:lut8") == trials("recipe:ours") == [10]
    assert trials("all") == [0, 1, 2, 3, 4]


def test_bounds_hold_for_what_is_named_too():
    assert trials("smallest", max_divergence=0.1) == [2]
    assert trials("divergence<0.5", max_size_mb=2.5) == [1]
    with pytest.raises(PickError, match="trial 10 is not within the bounds"):
        trials("uniform:lut8", max_size_mb=3)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("13", "no finished trial 13; it has 8"),
        ("12", r"trial 12 failed \(forward: why\)"),
        ("uniform:lut4", r"not evaluated; there are lut8\. .*search EXPERIMENT.toml --also lut4.yaml.*recipe:lut4"),
        ("uniform:lut99", "lut99"),
        ("recipe:theirs", "no recipe 'theirs' was evaluated; there are ours"),
        ("kne", "did you mean 'knee'"),
        ("uniform:", "expected knee, all, smallest"),
    ],
)
def test_what_is_not_there_is_said(word, said):
    with pytest.raises(ValueError, match=said):
        trials(word)


def test_the_best_within_bounds_is_the_one_of_the_least_loss():
    assert best_within(front(), Limits(max_size_mb=5)).trial == 2
    assert best_within(front(), Limits(max_size_mb=0.5)) is None
    assert best_within(Front((), OBJECTIVES), Limits()) is None
