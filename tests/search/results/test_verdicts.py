"""Verdicts on members: what was seen against what was not."""

from dataclasses import replace

import pytest

from palettune.search.results.intervals import interval
from palettune.search.results.verdicts import member_verdict
from tests.search.made_up import record

SEEN = replace(record(0, 0.1, 1.0).evaluation, by_sample=tuple(0.05 + 0.01 * i for i in range(11)))
END = interval(SEEN)[1]


@pytest.mark.parametrize(
    ("unseen", "verdict"),
    [(0.01, "holds"), (END, "holds"), (END + 1e-6, "above its interval"), (None, "not checked")],
)
def test_above_is_what_lies_above_the_upper_end(unseen, verdict):
    measured = None if unseen is None else replace(SEEN, divergence=unseen)
    assert member_verdict(SEEN, measured) == verdict


def test_too_few_samples_allow_no_verdict():
    few = replace(SEEN, by_sample=(0.1,) * 4)
    assert member_verdict(few, few) == "too few samples"
