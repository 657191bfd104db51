"""What a rung brought, and whether it pays."""

from dataclasses import replace

import pytest

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.results.escalation_gains import verdicts
from tests.search.escalation.test_promotion import ESCALATED, objectives, record, rounded


def test_rounding_is_counted_as_a_rung_of_its_own():
    source = record(0, 1.0, 2.0)
    escalated = replace(
        rounded(source), trial=ESCALATED, workflow=Workflow("calibration"), escalated_from=0, rung="int8_activations"
    )
    facts = verdicts([source], [escalated], objectives())
    assert list(facts) == ["int8_activations"]
    assert facts["int8_activations"]["loss_taken_away"] == 0.0


def test_a_rung_that_does_not_pay_is_told_from_one_that_does():
    records = [record(i, 1.0 / (i + 1), 2.0 + i) for i in range(5)]
    useless = [record(ESCALATED + i, 1.0 / (i + 1), 2.0 + i, Workflow("calibration"), i, i) for i in range(5)]
    useful = [record(ESCALATED + i, 0.1 / (i + 1), 2.0 + i, Workflow("calibration"), i, i) for i in range(5)]
    assert verdicts(records, useless, objectives())["calibration"]["pays"] == 0.0
    facts = verdicts(records, useful, objectives())["calibration"]
    assert facts["pays"] == 1.0
    assert facts["escalations"] == 5
    assert facts["hypervolume_growth"] > 0.01
    assert facts["rank_correlation"] == pytest.approx(1.0)
    assert verdicts(records, [], objectives()) == {}
