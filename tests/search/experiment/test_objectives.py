"""Objectives: their scale, what dominates, and the volume that a front takes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.search.experiment.experiment import Bound, Constraints, Experiment
from palettune.search.experiment.objectives import (
    NOTICEABLE,
    SLOWEST,
    Objective,
    ObjectiveSet,
    hypervolume,
    non_dominated,
    objective_set,
)
from tests.search.made_up import OBJECTIVES, record

DIVERGENCE = Objective("divergence", "minimize", 5.0, logarithmic=True)
TOP1 = Objective("top1", "maximize", 0.8, origin=0.8)
LATENCY = Objective("latency_ms", "minimize", SLOWEST * 2.0, resolution=NOTICEABLE)
values = st.floats(1e-9, 1e3)
rows = st.integers(2, 3).flatmap(
    lambda width: st.lists(st.tuples(*[st.sampled_from([0.1, 0.3, 0.5, 0.9, 1.2])] * width), max_size=8)
)


@given(st.sampled_from([DIVERGENCE, TOP1, LATENCY]), values, values)
def test_of_two_values_the_better_one_loses_no_more(objective, one, other):
    better, worse = (min, max) if objective.direction == "minimize" else (max, min)
    assert objective.loss(better(one, other)) <= objective.loss(worse(one, other))
    assert objective.level(better(one, other)) <= objective.level(worse(one, other))
    assert objective.loss(one) >= 0


def test_the_reference_loses_one_and_the_ideal_nothing():
    assert [DIVERGENCE.loss(v) for v in (5.0, 0.05, 5e-4, 0.0)] == pytest.approx([1.0, 0.5, 0.0, 0.0])
    assert [TOP1.loss(v) for v in (0.9, 0.8, 0.4, 0.0)] == pytest.approx([0.0, 0.0, 0.5, 1.0])
    assert LATENCY.loss(2.0) == pytest.approx(1 / SLOWEST)


@given(st.floats(0.1, 10), st.floats(1.0, 1.0 + NOTICEABLE / 2.1))
def test_latencies_far_enough_apart_are_told_apart_and_near_ones_are_at_most_one_step(ms, factor):
    assert LATENCY.level(ms * factor) - LATENCY.level(ms) in (0, 1)
    assert LATENCY.level(ms * (1 + NOTICEABLE) ** 2) - LATENCY.level(ms) in (2, pytest.approx(2))


def test_violations_are_relative_to_their_bounds_and_nothing_is_broken_where_they_are_met():
    limits = Constraints(max_size_mb=4.0, max_divergence=0.2, metrics={"top1": Bound(min=0.5, max=0.8)})
    chosen = ObjectiveSet(OBJECTIVES.objectives, limits)
    evaluation = record(0, 0.3, 5.0).evaluation
    evaluation = type(evaluation)(**vars(evaluation) | {"metrics": {"top1": 0.4}})
    assert chosen.violations(evaluation, {"size_mb": 5.0}) == pytest.approx([0.25, 0.5, -0.5, 0.2])
    keys = ["max_size_mb", "max_divergence", "metrics.top1.max", "metrics.top1.min"]
    assert list(chosen.violations_by_key(evaluation, {"size_mb": 5.0})) == keys
    assert not chosen.affordable({"size_mb": 5.0})
    assert chosen.affordable({"size_mb": 4.0})
    assert OBJECTIVES.violations(evaluation, {"size_mb": 5.0}) == []


def test_values_and_directions_are_in_the_order_of_the_objectives():
    metric = ObjectiveSet((TOP1, OBJECTIVES.objectives[1], LATENCY), Constraints())
    evaluation = record(0, 0.3, 5.0).evaluation
    evaluation = type(evaluation)(**vars(evaluation) | {"metrics": {"top1": 0.4}})
    assert metric.directions == ["maximize", "minimize", "minimize"]
    assert metric.values(evaluation, {"latency_ms": 2.0, "size_mb": 5.0}) == [0.4, 5.0, 2.0]
    assert metric.losses([0.4, 5.0, 2.0]) == pytest.approx([0.5, 0.5, 1 / SLOWEST])


@given(rows)
def test_what_is_kept_is_what_nothing_else_dominates_and_of_twins_the_first(rows):
    table = np.array(rows).reshape(len(rows), len(rows[0]) if rows else 2)
    kept = non_dominated(table)
    assert len(kept) == len(rows)
    for index, row in enumerate(rows):
        others = [other for other in rows if other != row]
        beaten = any(all(a <= b for a, b in zip(other, row, strict=True)) for other in others)
        assert kept[index] == (not beaten and rows.index(row) == index)


@settings(max_examples=40)
@given(rows)
def test_the_volume_is_that_of_the_union_of_boxes(rows):
    if not rows:
        assert hypervolume(np.zeros((0, 2))) == 0.0
        return
    table, cells = np.array(rows), (np.arange(10) + 0.5) / 10
    grid = np.stack(np.meshgrid(*[cells] * table.shape[1], indexing="ij"), -1).reshape(-1, table.shape[1])
    covered = (grid[:, None] > table[None]).all(axis=-1).any(axis=1)
    assert hypervolume(table) == pytest.approx(covered.mean())


def test_an_experiment_s_objectives_are_scaled_by_what_the_float_model_gives():
    plain = objective_set(Experiment(name="x", workload="w.py"), 3.0, {}, {"size_mb": 8.0})
    assert [(o.name, o.reference, o.logarithmic) for o in plain.objectives] == [
        ("divergence", 3.0, True),
        ("size_mb", 8.0, False),
    ]
    both = {"quality": {"metric": "top1", "direction": "maximize"}, "cost": ["size_mb", "latency_ms"]}
    made = objective_set(
        Experiment(name="x", workload="w.py", objectives=both, device={"name": "M2"}),
        3.0,
        {"top1": 0.8},
        {"size_mb": 8.0, "latency_ms": 2.0},
    )
    assert made.objectives == (TOP1, Objective("size_mb", "minimize", 8.0), LATENCY)
