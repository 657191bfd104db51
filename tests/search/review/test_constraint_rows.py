"""Constraints one by one."""

import pytest

from palettune.search.experiment.experiment import Constraints
from palettune.search.review.constraint_rows import broken_constraints, constraint_rows
from tests.search.made_up import record

LIMITS = Constraints(max_size_mb=3, max_divergence=0.5, metrics={"top1": {"min": 0.7, "max": 0.9}})


def test_every_bound_is_a_row():
    assert [(row["name"], row["relation"], row["value"]) for row in constraint_rows(LIMITS)] == [
        ("size_mb", "<=", 3.0),
        ("divergence", "<=", 0.5),
        ("top1", "<=", 0.9),
        ("top1", ">=", 0.7),
    ]
    assert constraint_rows(Constraints()) == []


@pytest.mark.parametrize(
    ("divergence", "size", "top1", "broken"),
    [
        (0.1, 3.0, 0.7, []),
        (0.1, 3.25, 0.8, ["size_mb is 3.2500, at most 3 is asked for"]),
        (0.6, 2.0, 0.5, ["divergence is 0.6000, at most 0.5", "top1 is 0.5000, at least 0.7"]),
        (0.1, 2.0, 0.95, ["top1 is 0.9500, at most 0.9"]),
    ],
)
def test_what_is_broken_is_said_with_its_bound(divergence, size, top1, broken):
    evaluation = record(0, divergence, size).evaluation
    evaluation.metrics["top1"] = top1
    found = broken_constraints(LIMITS, evaluation, {"size_mb": size})
    assert len(found) == len(broken)
    assert all(words in said for words, said in zip(broken, found, strict=True))
