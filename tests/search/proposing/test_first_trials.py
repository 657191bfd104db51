"""The first trials: uniform configurations, then those of the solved front that promise most."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.search.experiment.experiment import Constraints, Experiment
from palettune.search.experiment.objectives import Objective, ObjectiveSet, objective_set
from palettune.search.proposing.allocation import allocation_problem
from palettune.search.proposing.first_trials import first_trials, promising
from palettune.search.proposing.solver import Allocation, sweep
from tests.search.latency_space import MENU, TARGET, model, scores, space

SPACE = space()
FLOAT = allocation_problem(SPACE, TARGET, 0, scores(0)).total("size_mb", [0] * len(SPACE.groups))
DIVERGENCE = Objective("divergence", "minimize", 1.0, logarithmic=True)


def objectives(**limits):
    return ObjectiveSet((DIVERGENCE, Objective("size_mb", "minimize", FLOAT)), Constraints(**limits))


def trials(seed=0, solved=6, chosen=None, encodings=MENU):
    problem = allocation_problem(SPACE, TARGET, 0, scores(seed))
    return first_trials(SPACE, encodings, lambda: problem, chosen or objectives(), solved), problem


def size(configuration):
    problem = allocation_problem(SPACE, TARGET, 0, scores(0))
    menus = [SPACE.menus[group[0]].encodings for group in SPACE.groups]
    chosen = [m.index(configuration.encodings[g[0]]) for m, g in zip(menus, SPACE.groups, strict=True)]
    return problem.total("size_mb", chosen)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(1, 12))
@pytest.mark.slow
def test_uniform_ones_come_first_then_solved_ones_and_none_twice(seed, solved):
    found, problem = trials(seed, solved)
    assert [trial.origin for trial in found[: len(MENU)]] == [f"uniform {encoding}" for encoding in MENU]
    assert len({trial.configuration.hash for trial in found}) == len(found) <= len(MENU) + solved
    losses = {m.costs["size_mb"]: m.loss for m in sweep(problem, "size_mb")}
    for trial in found[len(MENU) :]:
        mb = size(trial.configuration)
        assert trial.origin == f"solved {mb:.3f} MB"
        assert scores(seed).predict(trial.configuration) == pytest.approx(
            losses[min(losses, key=lambda x: abs(x - mb))]
        )


def solved_sizes(**limits):
    return [size(trial.configuration) for trial in trials(chosen=objectives(**limits), encodings=())[0]]


def test_bounds_hold_for_what_is_solved_and_where_nothing_meets_them_the_smallest_stands():
    smallest = min(size(SPACE.uniform(encoding)) for encoding in MENU)
    bound = 1.02 * smallest
    assert max(solved_sizes()) > bound
    assert smallest <= max(solved_sizes(max_size_mb=bound)) <= bound
    assert solved_sizes(max_size_mb=0.9 * smallest) == [pytest.approx(smallest)]


def test_where_nothing_is_to_be_solved_no_score_is_asked_for():
    found = first_trials(SPACE, MENU[:2], lambda: pytest.fail("scores were asked for"), objectives(), 0)
    assert [trial.configuration for trial in found] == [SPACE.uniform(encoding) for encoding in MENU[:2]]


def test_every_cost_has_solved_ones_of_its_own():
    latency = model()
    plain = latency.predict(SPACE.uniform(MENU[0])).ms
    asked = {"objectives": {"cost": ["size_mb", "latency_ms"]}, "device": {"name": "iPhone 15 Pro"}}
    both = objective_set(
        Experiment(name="x", workload="w.py", **asked), 1.0, {}, {"size_mb": FLOAT, "latency_ms": plain}
    )
    problem = allocation_problem(SPACE, TARGET, 0, scores(3), latency)
    found = first_trials(SPACE, MENU[:1], lambda: problem, both, 4)
    units = [trial.origin.split()[-1] for trial in found[1:]]
    assert set(units) == {"MB", "ms"}
    for trial in found[1:]:
        amount, unit = trial.origin.split()[1:]
        known = size(trial.configuration) if unit == "MB" else latency.predict(trial.configuration).ms
        assert float(amount) == pytest.approx(known, abs=1e-3)


def test_what_promises_most_is_picked_first_and_what_adds_nothing_last():
    def member(loss, mb):
        return Allocation((), loss, {"size_mb": mb})

    ten = ObjectiveSet((DIVERGENCE, Objective("size_mb", "minimize", 10.0)), Constraints())
    large, middle, twin, useless = member(1e-4, 9.0), member(1e-2, 5.0), member(1e-2, 5.0), member(2.0, 1.0)
    assert promising([useless, large, middle], "size_mb", ten, 1) == [middle]
    assert promising([useless, large, middle], "size_mb", ten, 2) == [middle, large]
    everything = promising([useless, large, middle, twin], "size_mb", ten, 9)
    assert sorted(member.costs["size_mb"] for member in everything) == [1.0, 5.0, 5.0, 9.0]
    assert everything[:2] == [middle, large]
    assert promising([], "size_mb", ten, 3) == []
