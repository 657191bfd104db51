"""Fronts, picks and explanations on made-up evaluations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.evaluation import Evaluation, Workflow
from evaluators.sensitivity.scores import Scores
from search.allocation import allocation_problem
from search.experiment import Constraints
from search.explanation import _rates, explain_front, explanation_text
from search.front import Front, Limits, PickError, front_of, hypervolume_of
from search.objectives import Objective, ObjectiveSet
from search.solver import sweep
from search.study import Record
from space.configuration import Configuration
from space.encoding import Encoding
from space.layer import Layer, LayerKind
from space.search_space import SearchSpace
from space.target import DeploymentTarget
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
