"""Promotion: schedules, and which evaluation is escalated."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Stage, Workflow
from palettune.search.escalation.promotion import GreatestGain, Seen, Slot
from palettune.search.experiment.experiment import Constraints, EscalationSettings
from palettune.search.experiment.objectives import Objective, ObjectiveSet
from palettune.search.study.record import Record
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding

CHANCE = 7.0
RUNGS = EscalationSettings()
CALIBRATE, TUNE, ROUND = Slot(RUNGS.calibration, 0), Slot(RUNGS.fine_tuning, 0), Slot(RUNGS.int8_activations, 0)
ESCALATED = 50  # trials of escalations are numbered from here in these tests


def objectives(**limits):
    axes = (Objective("divergence", "minimize", CHANCE, logarithmic=True), Objective("size_mb", "minimize", 10.0))
    return ObjectiveSet(axes, Constraints(**limits))


def record(trial, divergence, size, workflow=Workflow.DATA_FREE, source=None, name=None, failed=False):
    configuration = Configuration({f"layer{trial if name is None else name}": Encoding.parse("lut4")})
    evaluation = Evaluation(configuration.hash, workflow, divergence, (divergence,) * 4)
    return Record(
        trial, "test", configuration, workflow, (divergence, size), {"size_mb": size},
        None if failed else evaluation, not failed, None, Failure(Stage.TRAIN, "no") if failed else None, (0.0, 1.0),
        escalated_from=source, rung=None if workflow == Workflow.DATA_FREE else workflow,
    )  # fmt: skip


def promote(slot, records, escalated, pending, wanted, below, asks=None):
    asks = asks or (rounded if slot.rung.rounds else lambda record: record)
    return GreatestGain().promote(slot, Seen(records, escalated, pending, below), wanted, asks)


def rounded(some):
    """Rounding as this test has it: layers with even numbers take it, and a quarter of the cost is saved."""
    name = next(iter(some.configuration.encodings))
    if int(name.removeprefix("layer")) % 2 or some.configuration.activations:
        return None
    configuration = Configuration(some.configuration.encodings, {name: Precision.INT8})
    return replace(some, configuration=configuration, costs={"size_mb": 0.75 * some.costs["size_mb"]})


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12), st.integers(1, 500))
def test_a_schedule_has_every_escalation_in_the_second_half_and_rungs_in_order(
    calibration, activations, fine_tuning, trials
):
    asked = {"calibration": calibration, "int8_activations": activations, "fine_tuning": fine_tuning}
    slots = GreatestGain().schedule(EscalationSettings(**asked), trials)
    assert {rung: sum(slot.rung.name == rung for slot in slots) for rung in asked} == asked
    assert all(trials / 2 <= slot.after <= trials for slot in slots)
    assert [slot.after for slot in slots] == sorted(slot.after for slot in slots)
    if calibration:
        assert slots == [] or slots[0].rung.name == "calibration"


def test_the_one_that_can_grow_the_front_most_is_escalated_and_none_twice():
    front = [record(0, 1e-3, 8.0), record(1, 1.0, 3.0), record(2, 5.0, 1.0)]
    behind = [record(3, 6.5, 7.9)]
    first = promote(CALIBRATE, [*front, *behind], [], [], objectives(), Workflow.DATA_FREE)
    assert first is not None
    assert first.trial in {1, 2}
    second = promote(CALIBRATE, [*front, *behind], [], [first], objectives(), Workflow.DATA_FREE)
    assert second is not None
    assert second.trial != first.trial
    again = record(ESCALATED, 0.1, first.costs["size_mb"], Workflow("calibration"), first.trial, first.trial)
    third = promote(CALIBRATE, [*front, *behind], [again], [], objectives(), Workflow.DATA_FREE)
    assert third is not None
    assert third.trial != first.trial


def test_what_is_cheap_enough_is_escalated_though_its_quality_is_not_there_yet():
    records = [record(0, 1e-3, 8.0), record(1, 2.0, 2.0)]
    chosen = promote(CALIBRATE, records, [], [], objectives(max_size_mb=3.0, max_divergence=0.5), Workflow.DATA_FREE)
    assert chosen is records[1]


def test_fine_tuning_starts_from_what_was_calibrated_and_without_it_from_data_free():
    data_free = [record(0, 1.0, 2.0), record(1, 0.5, 3.0)]
    calibrated = record(ESCALATED, 0.4, 2.0, Workflow("calibration"), 0, 0)
    failed = record(ESCALATED + 1, 0.4, 3.0, Workflow("calibration"), 1, 1, failed=True)
    chosen = promote(TUNE, data_free, [calibrated, failed], [], objectives(), Workflow("calibration"))
    assert chosen is calibrated
    chosen = promote(TUNE, data_free, [failed], [], objectives(), Workflow("calibration"))
    assert chosen in data_free
    assert promote(TUNE, [], [], [], objectives(), Workflow("calibration")) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_earlier_escalations_teach_where_the_next_one_pays(seed):
    """Where every escalation from a high loss has paid and none from a low one, the next one is from a high loss."""
    random = np.random.default_rng(seed)
    sizes = np.linspace(1.0, 9.0, 16)
    divergences = 5.0 * np.exp(-np.linspace(0, 6, 16)) * random.uniform(0.95, 1.05, 16)
    records = [record(i, float(d), float(s)) for i, (d, s) in enumerate(zip(divergences, sizes, strict=True))]
    taken = [0, 2, 13, 15]
    escalated = [
        record(ESCALATED + n, float(divergences[i] * (0.2 if i < 8 else 1.0)), float(sizes[i]),
               Workflow("calibration"), i, i)
        for n, i in enumerate(taken)
    ]  # fmt: skip
    chosen = promote(CALIBRATE, records, escalated, [], objectives(), Workflow.DATA_FREE)
    assert chosen is not None
    assert chosen.trial < 8


def test_activations_are_rounded_from_any_workflow_to_the_configuration_and_costs_they_would_have():
    data_free = [record(0, 1.0, 2.0), record(1, 0.5, 3.0)]
    calibrated = record(ESCALATED, 0.4, 2.0, Workflow("calibration"), 0, 0)
    chosen = promote(ROUND, data_free, [calibrated], [], objectives(), Workflow("calibration"))
    assert chosen is not None
    assert chosen.trial == ESCALATED  # the better of two with the same encodings
    assert chosen.costs == {"size_mb": 1.5}
    assert dict(chosen.configuration.activations) == {"layer0": Precision.INT8}
    assert promote(ROUND, data_free, [calibrated], [chosen], objectives(), Workflow("calibration")) is None
    assert promote(ROUND, data_free[1:], [], [], objectives(), Workflow("calibration")) is None
