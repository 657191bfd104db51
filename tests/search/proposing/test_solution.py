"""Two budgets, each of which can be met alone: the message says how near they come and where they part."""

from pathlib import Path

import numpy as np
import pytest

from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.experiment.experiment import Experiment
from palettune.search.proposing.allocation import LATENCY, SIZE, allocation_problem, solve_within
from palettune.search.proposing.solution import _solve, solution
from palettune.search.study.record import Record
from palettune.search.study.study_context import StudyContext
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.reach import BudgetError, reachable_sizes
from palettune.space.search_space import SearchSpace
from tests.search.latency_space import MENU, TARGET, WIDTHS, model, scores, space


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
        _solve(problem, budgets, reachable_sizes(conflicting, TARGET), latency)
    assert any(f"{name} (" in str(said.value) for name in WIDTHS)
    assert "fastest is" in str(said.value)


def record(trial, encodings, divergence):
    configuration = Configuration(encodings)
    evaluation = Evaluation(configuration.hash, Workflow.DATA_FREE, divergence, (divergence,) * 4)
    return Record.of(
        evaluation, trial=trial, origin="tpe", configuration=configuration, workflow=Workflow.DATA_FREE,
        values=(divergence, 1.0), costs={"size_mb": 1.0}, feasible=True, answered_from=None, span=(0.0, 1.0),
    )  # fmt: skip


def test_scores_of_zero_promise_nothing_until_something_is_measured():
    whole = space()
    columns = tuple((name, encoding) for name in WIDTHS for encoding in MENU)
    nothing = Scores("fisher", columns, np.zeros((3, len(columns))))
    experiment = Experiment(name="x", workload=Path("workload.py"))
    context = StudyContext("id", DivergenceKind.KL, 1.0, {}, {"size_mb": 1.0}, 0, "scores", whole)
    budgets = {"size_mb": reachable_sizes(whole, TARGET).largest_bytes / 2e6}
    found = solution(experiment, context, nothing, [], budgets)
    assert (found.high, found.measured_on) == (None, 0)
    assert found.to_json()["divergence_interval_80"] is None
    measured = [record(i, dict.fromkeys(WIDTHS, MENU[i]), value) for i, value in enumerate((0.5, 0.1, 2.0))]
    found = solution(experiment, context, nothing, measured, budgets)
    assert (found.divergence, found.low, found.high, found.measured_on) == (0.5, 0.1, 2.0, 3)
    some = Scores("fisher", columns, np.full((3, len(columns)), 1e-3))
    found = solution(experiment, context, some, [], budgets)
    assert 0 < found.low < found.divergence < found.high
