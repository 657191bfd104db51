"""Promotion: schedules, who climbs, and what a rung brought."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Stage, Workflow
from palettune.search.escalation.promotion import Slot, promote, schedule, verdicts
from palettune.search.experiment.experiment import Constraints, EscalationSettings
from palettune.search.experiment.objectives import Objective, ObjectiveSet
from palettune.search.study.escalation import FIRST_NUMBER, Escalation, EscalationResult
from palettune.search.study.record import Record
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding

CHANCE = 7.0
CALIBRATE, TUNE = Slot(Workflow.CALIBRATION, 0), Slot(Workflow.FINE_TUNING, 0)
ROUND = Slot(Workflow.CALIBRATION, 0, rounds=True)


def objectives(**limits):
    axes = (Objective("divergence", "minimize", CHANCE, logarithmic=True), Objective("size_mb", "minimize", 10.0))
    return ObjectiveSet(axes, Constraints(**limits))


def record(trial, divergence, size, workflow=Workflow.DATA_FREE, source=None, name=None, failed=False):
    configuration = Configuration({f"layer{trial if name is None else name}": Encoding.parse("lut4")})
    evaluation = Evaluation(configuration.hash, workflow, divergence, (divergence,) * 4)
    return Record(
        trial, "test", configuration, workflow, (divergence, size), {"size_mb": size},
        None if failed else evaluation, not failed, None, Failure(Stage.TRAIN, "no") if failed else None, (0.0, 1.0),
        escalated_from=source,
    )  # fmt: skip


def rounded(some):
    """Rounding as this test has it: layers with even numbers take it, and a quarter of the cost is saved."""
    name = next(iter(some.configuration.encodings))
    if int(name.removeprefix("layer")) % 2 or some.configuration.activations:
        return None
    configuration = Configuration(some.configuration.encodings, {name: Precision.INT8})
    return replace(some, configuration=configuration, costs={"size_mb": 0.75 * some.costs["size_mb"]})


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12), st.integers(1, 500))
def test_a_schedule_has_every_climb_in_the_second_half_and_rungs_in_order(
    calibration, activations, fine_tuning, trials
):
    asked = {"calibration": calibration, "int8_activations": activations, "fine_tuning": fine_tuning}
    slots = schedule(EscalationSettings(**asked), trials)
    assert {rung: sum(slot.rung == rung for slot in slots) for rung in asked} == asked
    assert all(trials / 2 <= slot.after <= trials for slot in slots)
    assert [slot.after for slot in slots] == sorted(slot.after for slot in slots)
    if calibration:
        assert slots == [] or slots[0].rung == "calibration"


def test_the_one_that_can_grow_the_front_most_climbs_and_none_twice():
    front = [record(0, 1e-3, 8.0), record(1, 1.0, 3.0), record(2, 5.0, 1.0)]
    behind = [record(3, 6.5, 7.9)]
    first = promote(CALIBRATE, [*front, *behind], [], [], objectives(), Workflow.DATA_FREE, rounded)
    assert first is not None
    assert first.trial in {1, 2}
    second = promote(CALIBRATE, [*front, *behind], [], [first], objectives(), Workflow.DATA_FREE, rounded)
    assert second is not None
    assert second.trial != first.trial
    climbed = record(FIRST_NUMBER, 0.1, first.costs["size_mb"], Workflow.CALIBRATION, first.trial, first.trial)
    third = promote(CALIBRATE, [*front, *behind], [climbed], [], objectives(), Workflow.DATA_FREE, rounded)
    assert third is not None
    assert third.trial != first.trial


def test_what_is_cheap_enough_climbs_though_its_quality_is_not_there_yet():
    records = [record(0, 1e-3, 8.0), record(1, 2.0, 2.0)]
    chosen = promote(
        CALIBRATE, records, [], [], objectives(max_size_mb=3.0, max_divergence=0.5), Workflow.DATA_FREE, rounded
    )
    assert chosen is records[1]


def test_fine_tuning_starts_from_what_was_calibrated_and_without_it_from_data_free():
    data_free = [record(0, 1.0, 2.0), record(1, 0.5, 3.0)]
    calibrated = record(FIRST_NUMBER, 0.4, 2.0, Workflow.CALIBRATION, 0, 0)
    failed = record(FIRST_NUMBER + 1, 0.4, 3.0, Workflow.CALIBRATION, 1, 1, failed=True)
    chosen = promote(TUNE, data_free, [calibrated, failed], [], objectives(), Workflow.CALIBRATION, rounded)
    assert chosen is calibrated
    chosen = promote(TUNE, data_free, [failed], [], objectives(), Workflow.CALIBRATION, rounded)
    assert chosen in data_free
    assert promote(TUNE, [], [], [], objectives(), Workflow.CALIBRATION, rounded) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_earlier_climbs_teach_where_climbing_pays(seed):
    """Where every climb from a high loss has paid and none from a low one, the next one climbs from a high loss."""
    random = np.random.default_rng(seed)
    sizes = np.linspace(1.0, 9.0, 16)
    divergences = 5.0 * np.exp(-np.linspace(0, 6, 16)) * random.uniform(0.95, 1.05, 16)
    records = [record(i, float(d), float(s)) for i, (d, s) in enumerate(zip(divergences, sizes, strict=True))]
    taken = [0, 2, 13, 15]
    climbs = [
        record(FIRST_NUMBER + n, float(divergences[i] * (0.2 if i < 8 else 1.0)), float(sizes[i]),
               Workflow.CALIBRATION, i, i)
        for n, i in enumerate(taken)
    ]  # fmt: skip
    chosen = promote(CALIBRATE, records, climbs, [], objectives(), Workflow.DATA_FREE, rounded)
    assert chosen is not None
    assert chosen.trial < 8


def test_activations_climb_from_any_workflow_to_the_configuration_and_costs_they_would_have():
    data_free = [record(0, 1.0, 2.0), record(1, 0.5, 3.0)]
    calibrated = record(FIRST_NUMBER, 0.4, 2.0, Workflow.CALIBRATION, 0, 0)
    chosen = promote(ROUND, data_free, [calibrated], [], objectives(), Workflow.CALIBRATION, rounded)
    assert chosen is not None
    assert chosen.trial == FIRST_NUMBER  # the better of two with the same encodings
    assert chosen.costs == {"size_mb": 1.5}
    assert dict(chosen.configuration.activations) == {"layer0": Precision.INT8}
    assert promote(ROUND, data_free, [calibrated], [chosen], objectives(), Workflow.CALIBRATION, rounded) is None
    assert promote(ROUND, data_free[1:], [], [], objectives(), Workflow.CALIBRATION, rounded) is None


def test_rounding_is_counted_as_a_rung_of_its_own():
    source = record(0, 1.0, 2.0)
    climb = replace(rounded(source), trial=FIRST_NUMBER, workflow=Workflow.CALIBRATION, escalated_from=0)
    facts = verdicts([source], [climb], objectives())
    assert list(facts) == ["int8_activations"]
    assert facts["int8_activations"]["loss_taken_away"] == 0.0


def test_a_rung_that_does_not_pay_is_told_from_one_that_does():
    records = [record(i, 1.0 / (i + 1), 2.0 + i) for i in range(5)]
    useless = [record(FIRST_NUMBER + i, 1.0 / (i + 1), 2.0 + i, Workflow.CALIBRATION, i, i) for i in range(5)]
    useful = [record(FIRST_NUMBER + i, 0.1 / (i + 1), 2.0 + i, Workflow.CALIBRATION, i, i) for i in range(5)]
    assert verdicts(records, useless, objectives())["calibration"]["pays"] == 0.0
    facts = verdicts(records, useful, objectives())["calibration"]
    assert facts["pays"] == 1.0
    assert facts["climbs"] == 5
    assert facts["hypervolume_growth"] > 0.01
    assert facts["rank_correlation"] == pytest.approx(1.0)
    assert verdicts(records, [], objectives()) == {}


@pytest.mark.parametrize(
    "result",
    [
        None,
        Failure(Stage.TRAIN, "the loss is not finite at step 3", "head"),
        EscalationResult(
            Evaluation("abc", Workflow.FINE_TUNING, 0.5, (0.25, 0.75)), "state.safetensors", (), ("a note",)
        ),
    ],
)
@pytest.mark.parametrize("rounds", [False, True])
def test_a_climb_is_read_back_as_it_was_written(result, rounds):
    climb = Escalation(3, Workflow.FINE_TUNING, 17, result, (1.0, 2.0))
    if rounds:
        asked = rounded(record(0, 1.0, 2.0))
        climb = replace(climb, configuration=asked.configuration, costs=asked.costs)
    assert Escalation.from_json(3, json.loads(json.dumps(climb.to_json()))) == climb


def test_branches_cost_bytes_and_leave_the_latency_unknown():
    costs = {"size_mb": 1.0, "latency_ms": 2.0}
    some = EscalationResult(record(0, 1.0, 1.0).evaluation, "state")
    assert some.costs(costs) == costs
    assert replace(some, added_bytes=500_000).costs(costs) == {"size_mb": 1.5}
