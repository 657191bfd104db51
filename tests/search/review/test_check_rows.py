"""What was checked, and what escalations brought."""

from dataclasses import replace
from pathlib import Path

import pytest

from palettune.search.results.front import hypervolume_of
from palettune.search.review.check_rows import check_rows, escalation_rows
from palettune.search.review.exported_packages import remember_packages
from palettune.search.review.review_facts import ReviewFacts, Uncompressed
from tests.search.made_up import exported, record


def test_checks_are_those_of_the_model_and_of_this_search_s_packages(source):
    source.folder.create()
    remember_packages(source.folder.exported, "id", [exported(record(3, 0.1, 2.0))])
    remember_packages(source.folder.exported, "another", [exported(record(4, 0.1, 2.0), path="other.mlpackage")])
    facts = ReviewFacts("id", 0.99734567, (Uncompressed("position", 8192, "an operand of add"),), ("shown", "twice"))
    found = check_rows(replace(source, facts=facts, notes=("twice", "edited")))
    assert found["coverage"] == 0.99735
    assert found["uncompressed"] == [{"name": "position", "bytes": 8192, "reason": "an operand of add"}]
    assert found["notes"] == ["twice", "edited", "shown"]
    (proof,) = found["proofs"]
    assert (proof["package"], proof["trial"], proof["passed"]) == ("trial.mlpackage", 3, True)
    assert proof["path"] == str(Path("trial.mlpackage").resolve())


def test_a_run_without_facts_has_none(source):
    assert check_rows(source) == {"coverage": None, "uncompressed": [], "proofs": [], "notes": []}


def test_a_rung_says_what_it_took_away_and_whether_that_is_known_to_pay(source):
    before, after = source.records[0], source.records[-1]
    (row,) = escalation_rows(source)
    assert row["rung"] == "calibration"
    assert row["evaluations"] == 1
    assert row["mean_gain"] == pytest.approx(1 - after.evaluation.divergence / before.evaluation.divergence, rel=1e-4)
    assert row["pays"] in (True, None)
    assert f"1 evaluation, which took away {row['mean_gain']:.0%}" in row["words"]
    assert escalation_rows(replace(source, records=source.records[:-1])) == []


def test_a_rung_s_growth_is_that_of_the_history(source):
    best = source.records[-1]
    better = replace(best, evaluation=replace(best.evaluation, divergence=1e-9))
    made = replace(source, records=[*source.records[:-1], better])
    before, after = (hypervolume_of(found, source.front.objectives) for found in (made.records[:-1], valued(made)))
    (row,) = escalation_rows(made)
    assert f"the hypervolume grew from {before:.3g} to {after:.3g}: it pays" in row["words"]


def valued(source):
    """The records with the objective values of their evaluations."""
    objectives = source.front.objectives
    return [replace(r, values=tuple(objectives.values(r.evaluation, r.costs))) for r in source.records]


def test_a_rung_that_brought_nothing_is_said_not_to_pay(source):
    plain = source.records[:6]
    useless = [
        replace(r, trial=100 + r.trial, escalated_from=r.trial, rung="calibration", answered_from=None) for r in plain
    ]
    (row,) = escalation_rows(replace(source, records=[*plain, *useless]))
    assert row["pays"] is False
    assert row["mean_gain"] == 0.0
    assert "the front did not grow: more of it hardly pays" in row["words"]
