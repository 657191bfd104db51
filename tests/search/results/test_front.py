"""Fronts, picks and explanations on made-up evaluations."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.device_bench.cost.placement import ComputeUnit
from palettune.device_bench.measurement.measurement import Measurement
from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.experiment.experiment import Constraints, Experiment
from palettune.search.experiment.objectives import Objective, ObjectiveSet, objective_set
from palettune.search.proposing.allocation import allocation_problem
from palettune.search.proposing.solver import sweep
from palettune.search.results.explanation import _rates, explain_front, explanation_text
from palettune.search.results.front import Front, Limits, PickError, front_of, hypervolume_of, to_json
from palettune.search.results.known_latency import known_latency
from palettune.search.study.record import Record
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind
from palettune.space.search_space import SearchSpace
from palettune.space.target import DeploymentTarget
from tests.search import latency_space

OBJECTIVES = ObjectiveSet(
    (Objective("divergence", "minimize", 5.0, logarithmic=True), Objective("size_mb", "minimize", 10.0)), Constraints()
)
MENU = [Encoding.parse(name) for name in ("fp16", "lut8", "lut4", "lut2")]


def record(trial, divergence, size, feasible=True, encodings=("lut8", "lut4")):
    configuration = Configuration({f"l{i}": Encoding.parse(e) for i, e in enumerate(encodings)})
    evaluation = Evaluation(configuration.hash, Workflow.DATA_FREE, divergence, (divergence,) * 4)
    return Record.of(
        evaluation, trial=trial, origin="tpe", configuration=configuration, workflow=Workflow.DATA_FREE,
        values=(divergence, size), costs={"size_mb": size}, feasible=feasible, answered_from=None, span=(0.0, 1.0),
    )  # fmt: skip


points = st.lists(st.tuples(st.floats(1e-5, 6), st.floats(0.5, 11), st.booleans()), min_size=1, max_size=25)


@settings(max_examples=60, deadline=None)
@given(points)
def test_the_front_holds_exactly_what_nothing_feasible_dominates(rows):
    records = [record(i, *row) for i, row in enumerate(rows)]
    front = front_of(records, OBJECTIVES)
    feasible = [r for r in records if r.feasible]
    for r in feasible:
        beaten = any(
            o.values[0] <= r.values[0] and o.values[1] <= r.values[1] and o.values != r.values for o in feasible
        )
        twin = any(m.values == r.values for m in front.members)
        assert twin != beaten
    sizes = [m.costs["size_mb"] for m in front.members]
    assert sizes == sorted(sizes)
    assert hypervolume_of(front.members, OBJECTIVES) == pytest.approx(hypervolume_of(records, OBJECTIVES))


def test_hypervolume_grows_with_every_better_evaluation_and_has_known_values():
    assert hypervolume_of([record(0, 5.0, 5.0)], OBJECTIVES) == 0.0
    half = hypervolume_of([record(0, 5e-4, 5.0)], OBJECTIVES)  # four decades below: ideal quality at half the size
    assert half == pytest.approx(0.5)
    assert hypervolume_of([record(0, 5e-2, 5.0)], OBJECTIVES) == pytest.approx(0.25)
    assert hypervolume_of([record(0, 5e-2, 5.0), record(1, 5e-4, 7.5)], OBJECTIVES) == pytest.approx(0.375)


def front():
    return Front(
        tuple(record(i, d, s) for i, (d, s) in enumerate([(4.9, 1), (0.4, 2), (0.05, 3), (0.04, 6), (0.03, 9)])),
        OBJECTIVES,
    )


def test_picks_by_name_number_and_bounds():
    members = front()
    assert members.knee().trial == 2
    assert [r.trial for r in members.pick(["all"], Limits())] == [0, 1, 2, 3, 4]
    assert [r.trial for r in members.pick(["4", "knee", "4"], Limits())] == [4, 2]
    assert [r.trial for r in members.pick(["spread:2"], Limits())] == [1, 4]  # the useless end is left out
    assert [r.trial for r in members.pick(["all"], Limits(max_size_mb=3, max_divergence=0.5))] == [1, 2]
    with pytest.raises(PickError, match="trial 3 is not on the front"):
        members.pick(["3"], Limits(max_size_mb=3))
    with pytest.raises(PickError, match="no member of the front is within the bounds"):
        members.pick(["knee"], Limits(max_size_mb=0.5))
    with pytest.raises(PickError, match="expected `knee`"):
        members.pick(["best"], Limits())
    with pytest.raises(PickError, match="front is empty"):
        Front((), OBJECTIVES).pick(["knee"], Limits())


def test_explanations_say_what_is_saved_and_what_comes_next():
    layers = (Layer("l0", LayerKind.LINEAR, (64, 64)), Layer("l1", LayerKind.LINEAR, (64, 64)))
    target = DeploymentTarget.parse("iOS18")
    space = SearchSpace.build(layers, MENU, target)
    columns = tuple((layer.name, e) for layer in layers for e in MENU)
    scores = Scores("fisher", columns, np.array([[0, 0.001, 0.1, 2.0, 0, 0.01, 0.5, 4.0]]))
    members = Front(
        (record(0, 0.6, 1, encodings=("lut4", "lut4")), record(1, 0.1, 2, encodings=("lut4", "lut8"))), OBJECTIVES
    )
    first, second = explain_front(members, space, target, scores)
    reasons = {r.layer: r for r in first.layers}
    assert reasons["l0"].score == pytest.approx(0.1)
    assert reasons["l0"].saved == 64 * 64 * 2 - (64 * 64 // 2 + 64 + 64)
    assert str(reasons["l1"].next_best) == "lut8"
    assert reasons["l1"].next_bytes > 0 > reasons["l1"].next_score
    assert str(reasons["l1"].neighbour) == "lut8"
    assert reasons["l0"].neighbour is None
    assert all(r.neighbour is None for r in second.layers)
    assert "lut8" in explanation_text([first, second])
    assert "scored by" not in explanation_text([first])
    for other, words in (
        (replace(scores, methods={"l1": "isolated"}), "scored by isolated: l1"),
        (replace(scores, method="isolated"), "scored by isolated: all layers"),
    ):
        assert words in explanation_text(explain_front(members, space, target, other))


def test_explanations_with_two_costs_price_both_and_regret_nothing_on_the_solved_front():
    latency, chosen, made = latency_space.model(), latency_space.space(), latency_space.scores(3)
    problem = allocation_problem(chosen, latency_space.TARGET, 0, made, latency)
    by_size, by_time = sweep(problem, "size_mb"), sweep(problem, "latency_ms")
    for allocation in (by_size[len(by_size) // 2], by_time[len(by_time) // 2]):
        rows = [
            np.column_stack([loss, size, time])
            for loss, size, time in zip(
                problem.losses, problem.costs["size_mb"], problem.tangent(allocation.choices)[0], strict=True
            )
        ]
        prices = np.array([1.0, *_rates(rows, allocation.choices)])
        assert (prices >= 0).all()
        totals = [group @ prices for group in rows]
        regret = sum(t[c] - t.min() for t, c in zip(totals, allocation.choices, strict=True))
        plain = sum(loss[c] - loss.min() for loss, c in zip(problem.losses, allocation.choices, strict=True))
        assert regret <= 0.05 * plain + 1e-12


def timed(trial, divergence, size, latency):
    base = record(trial, divergence, size, encodings=("lut8", ["fp16", "lut8", "lut6", "lut4", "lut2"][trial]))
    return replace(base, values=(divergence, size, latency), costs={"size_mb": size, "latency_ms": latency})


def two_costs():
    experiment = Experiment.model_validate(
        {"name": "x", "workload": "w.py", "device": {"name": "M2"}, "objectives": {"cost": ["size_mb", "latency_ms"]}}
    )
    return objective_set(experiment, 5.0, {}, {"size_mb": 10.0, "latency_ms": 1.0})


def test_latencies_that_nobody_could_tell_apart_make_no_front():
    objectives = two_costs()
    front = front_of([timed(0, 0.1, 5.0, 0.99), timed(1, 0.2, 6.0, 0.97), timed(2, 0.2, 6.0, 0.80)], objectives)
    assert [r.trial for r in front.members] == [0, 2]
    levels = [objectives.objectives[2].level(ms) for ms in (1.0, 0.97, 1.04, 0.94, 1.06)]
    assert levels[0] == levels[1] == levels[2]
    assert levels[3] < levels[0] < levels[4]
    assert objectives.losses([5e-4, 0.0, 1.0])[2] < 0.75  # as fast as fp16, and smaller: of use


def test_measured_latencies_rank_and_the_rest_follows_the_model_that_they_taught():
    objectives, latency = two_costs(), latency_space.model("CPU_AND_NE")
    configurations = [latency_space.space().uniform(e) for e in latency_space.MENU[:3]]
    records = []
    for i, configuration in enumerate(configurations):
        ms = latency.predict(configuration).ms
        made = timed(i, 0.1 * 10**-i, 5.0, ms)
        records.append(
            replace(
                made,
                configuration=configuration,
                evaluation=replace(made.evaluation, configuration_hash=configuration.hash),
            )
        )
    said = [r.costs["latency_ms"] for r in records]
    assert said[0] >= said[1] >= said[2]
    measured = Measurement("M2", "macOS", ComputeUnit.ALL, None, 9.0, 0.1, 8.9, 50, 1.0, False, None)
    known = known_latency(latency, records, {records[2].configuration.hash: measured})
    front = front_of(records, objectives, known)
    assert known.ms(records[2]) == 9.0  # slow after all
    assert known.calibrated(records[0]) == known.ms(records[0]) > said[0]
    shown = to_json(front)
    by_trial = {entry["trial"]: entry for entry in shown}
    assert by_trial[2]["latency_ms"] == said[2]
    assert by_trial[2]["measured_latency_ms"] == 9.0
    assert by_trial[2]["measurement"]["runs"] == 50
    assert all(entry["measured_latency_ms"] is None for trial, entry in by_trial.items() if trial != 2)
    with pytest.raises(PickError, match="ms"):
        front.pick(["all"], Limits(max_latency_ms=1e-3))
    assert 2 not in {r.trial for r in front.pick(["all"], Limits(max_latency_ms=8.0))}
