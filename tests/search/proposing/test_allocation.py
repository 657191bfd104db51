"""Budgets of size and latency against brute force over every configuration."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.search.proposing.allocation import (
    LATENCY,
    SIZE,
    allocated_configuration,
    allocation_problem,
    refined,
    solve_within,
)
from palettune.search.proposing.solver import Infeasible, sweep
from tests.search.latency_space import TARGET, model, scores, space

MODELS = {unit: model(unit) for unit in ("CPU_AND_NE", "CPU_AND_GPU")}
SPACE = space()
EVERYTHING = np.array(list(itertools.product(*(range(len(SPACE.menus[g[0]].encodings)) for g in SPACE.groups))))


def problem_of(seed, unit="CPU_AND_NE"):
    return allocation_problem(SPACE, TARGET, 5000, scores(seed), MODELS[unit])


@pytest.mark.parametrize("unit", MODELS)
def test_latencies_of_allocations_are_the_predictions_and_tangents_never_above(unit):
    problem = problem_of(0, unit)
    exact = problem.totals(LATENCY, EVERYTHING)
    for choices, ms in list(zip(EVERYTHING, exact, strict=True))[::37]:
        allocation = solve_within(problem, {SIZE: 1e9})
        configuration = allocated_configuration(SPACE, type(allocation)(tuple(choices), 0.0, {}))
        assert ms == pytest.approx(MODELS[unit].predict(configuration).ms, rel=1e-9)
        assert problem.total(LATENCY, choices) == pytest.approx(ms)
        costs, constant = problem.tangent(choices)
        below = constant + sum(row[EVERYTHING[:, g]] for g, row in enumerate(costs))
        assert (below <= exact * (1 + 1e-9)).all()
        assert constant + sum(row[c] for row, c in zip(costs, choices, strict=True)) == pytest.approx(ms)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1), st.sampled_from(sorted(MODELS)))
def test_the_best_within_two_budgets_is_brute_forces(seed, a, b, unit):
    problem = problem_of(seed, unit)
    losses = sum(row[EVERYTHING[:, g]] for g, row in enumerate(problem.losses))
    budgets, within = {}, np.ones(len(EVERYTHING), dtype=bool)
    for name, share in ((SIZE, a), (LATENCY, b)):
        totals = problem.totals(name, EVERYTHING)
        budgets[name] = float(totals.min() + share * np.ptp(totals) + 1e-5)
        within &= totals <= budgets[name]
    if not within.any():
        with pytest.raises(Infeasible):
            solve_within(problem, budgets)
        return
    found = solve_within(problem, budgets)
    for name, budget in budgets.items():
        assert problem.total(name, found.choices) <= budget * (1 + 1e-6)
        assert found.costs[name] == pytest.approx(problem.total(name, found.choices))
    slack = within & (problem.totals(LATENCY, EVERYTHING) <= budgets[LATENCY] * (1 - 2e-5))
    slack &= problem.totals(SIZE, EVERYTHING) <= budgets[SIZE] * (1 - 2e-5)
    if slack.any():
        assert found.loss <= losses[slack].min() * (1 + 1e-3) + 1e-12
    assert found.loss >= losses[within].min() - 1e-9


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1))
@pytest.mark.slow
def test_refining_never_costs_more_and_never_loses_more(seed, where):
    problem = problem_of(seed)
    members = sweep(problem, LATENCY)
    member = members[int(where * (len(members) - 1))]
    better = refined(problem, LATENCY, member)
    assert better.loss <= member.loss
    assert problem.total(LATENCY, better.choices) <= problem.total(LATENCY, member.choices) * (1 + 1e-9)
    again = refined(problem, LATENCY, better)
    assert again.loss == pytest.approx(better.loss)
