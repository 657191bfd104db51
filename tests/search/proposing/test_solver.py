"""The solver against brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.search.proposing.solver import Infeasible, Problem, solve, sweep

values = st.floats(0, 10, allow_nan=False, width=32)


@st.composite
def problems(draw):
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    losses = tuple(np.array(draw(st.lists(values, min_size=n, max_size=n))) for n in sizes)
    costs = {
        name: tuple(np.array(draw(st.lists(values, min_size=n, max_size=n))) for n in sizes)
        for name in ("size_mb", "latency_ms")
    }
    return Problem(losses, costs, {"size_mb": draw(values), "latency_ms": draw(values)})


def everything(problem):
    return itertools.product(*(range(len(loss)) for loss in problem.losses))


@settings(max_examples=60, deadline=None)
@given(problems(), st.floats(0, 1), st.floats(0, 1))
def test_exact_answers_equal_brute_force(problem, a, b):
    budgets = {}
    for name, share in (("size_mb", a), ("latency_ms", b)):
        totals = [problem.total(name, c) for c in everything(problem)]
        budgets[name] = min(totals) + share * (max(totals) - min(totals)) + 1e-6
    feasible = [c for c in everything(problem) if all(problem.total(n, c) <= budgets[n] for n in budgets)]
    if not feasible:
        with pytest.raises(Infeasible):
            solve(problem, budgets)
        return
    best = min(problem.loss(c) for c in feasible)
    answer = solve(problem, budgets)
    assert answer.loss == pytest.approx(best, rel=1e-4, abs=1e-4)
    for name, budget in budgets.items():
        assert answer.costs[name] <= budget + 1e-5


def test_a_loss_that_vanishes_beside_another_s_is_no_reason_to_leave_a_choice_out():
    losses = (np.array([1.0]), np.array([1e-30, 0.0]))
    costs = {"size_mb": (np.array([0.0]), np.array([0.0, 1.0]))}
    found = solve(Problem(losses, costs, {"size_mb": 0.0}), {"size_mb": 0.5})
    assert found.choices == (0, 0)


def test_choices_that_lose_everything_do_not_hide_what_others_lose():
    random = np.random.default_rng(0)
    small = random.lognormal(-9, 2, (30, 3))
    losses = tuple(np.array([1e3, *sorted(row, reverse=True), 0.0]) for row in small)
    sizes = tuple(np.array([0.9, *sorted(row), 4.0]) for row in random.uniform(1, 4, (30, 3)))
    problem = Problem(losses, {"size_mb": sizes}, {"size_mb": 0.0})
    members = [member for member in sweep(problem, "size_mb") if member.loss < 0.1]
    assert len(members) > 20
    for member in members[::5]:
        found = solve(problem, {"size_mb": member.costs["size_mb"]})
        assert found.loss == pytest.approx(member.loss, rel=1e-4)


@settings(max_examples=60, deadline=None)
@given(problems())
@pytest.mark.slow
def test_members_of_a_sweep_are_optimal_for_the_budget_they_use(problem):
    members = sweep(problem, "size_mb")
    assert members
    assert members[0].costs["size_mb"] == pytest.approx(problem.minimum("size_mb"), abs=1e-6)
    for member in members:
        # no tolerance: what costs a trifle more is another member
        rivals = [c for c in everything(problem) if problem.total("size_mb", c) <= member.costs["size_mb"]]
        assert member.loss <= min(problem.loss(c) for c in rivals) + 1e-6
    assert all(a.costs["size_mb"] < b.costs["size_mb"] and a.loss > b.loss for a, b in itertools.pairwise(members))


def test_an_impossible_budget_says_what_is_reachable():
    problem = Problem((np.array([1.0, 0.0]),), {"size_mb": (np.array([2.0, 3.0]),)}, {"size_mb": 1.0})
    with pytest.raises(Infeasible, match=r"size_mb <= 2.5 cannot be met: the least reachable is 3"):
        solve(problem, {"size_mb": 2.5})


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_printed_while_it_solves(seed, capfd):
    """Some releases of HiGHS print a line where they improve a solution."""
    random = np.random.default_rng(seed)
    sizes = random.lognormal(8, 2, 40)
    costs = [np.sort(random.random(11)) * size for size in sizes]
    losses = [random.lognormal(-6, 3) * np.exp(-6 * c / s) for c, s in zip(costs, sizes, strict=True)]
    problem = Problem(tuple(losses), {"size_mb": tuple(costs)}, {"size_mb": 10.0})
    for share in (0.15, 0.4, 0.8):
        least = problem.minimum("size_mb")
        solve(problem, {"size_mb": least + share * (sum(c.max() for c in costs) - least)})
    assert capfd.readouterr() == ("", "")
