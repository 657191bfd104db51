"""Two budgets, each of which can be met alone: the message says how near they come and where they part."""

import pytest

from search.allocation import LATENCY, SIZE, allocation_problem, solve_within
from search.solution import _solve
from space.encoding import Encoding
from space.reach import BudgetError, reach
from space.search_space import SearchSpace
from tests.search.latency_space import TARGET, WIDTHS, model, scores, space


def test_budgets_that_exclude_each_other_say_how_near_they_come():
    # tables for pairs of channels are the smallest here, and slow: small and fast are different configurations
    whole = space()
    chosen = [Encoding.parse(name) for name in ("fp16", "lut8", "lut4-g2")]
    conflicting = SearchSpace.build(whole.layers, chosen, TARGET)
    latency = model()
    problem = allocation_problem(conflicting, TARGET, 0, scores(1), latency)
    smallest = problem.minimum(SIZE)
    fastest = min(latency.predict(conflicting.uniform(Encoding.parse(name))).ms for name in ("fp16", "lut8", "lut4-g2"))
    assert problem.total(LATENCY, solve_within(problem, {SIZE: smallest * 1.001}).choices) > fastest * 1.05
    budgets = {SIZE: smallest * 1.001, LATENCY: fastest * 1.001}
    with pytest.raises(
        BudgetError, match=r"cannot be reached together: within .* ms the smallest is .* MB, most of it in"
    ) as said:
        _solve(problem, budgets, reach(conflicting, TARGET), latency)
    assert any(f"{name} (" in str(said.value) for name in WIDTHS)
    assert "fastest is" in str(said.value)
