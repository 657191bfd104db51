"""The best configuration for budgets, predicted from saved scores: no model is loaded and nothing is evaluated."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from palettune.device_bench.cost.latency_model import LatencyEstimate, LatencyModel
from palettune.device_bench.cost.latency_reach import LatencyReach, check_latency, latency_reach
from palettune.evaluators.quality.evaluation import Workflow
from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.experiment.experiment import Experiment
from palettune.search.proposing.allocation import (
    LATENCY,
    SIZE,
    LatencyProblem,
    allocated_configuration,
    allocation_problem,
    solve_within,
)
from palettune.search.proposing.escalation_forecast import EscalationForecast, escalation_forecasts
from palettune.search.proposing.score_level import UNTAUGHT_SPREAD, score_level
from palettune.search.proposing.solver import Allocation, Infeasible, Problem
from palettune.search.study.record import Record
from palettune.search.study.study_context import StudyContext
from palettune.space.configuration import Configuration
from palettune.space.errors import UserError
from palettune.space.reach import BudgetError, Reach, check_budget, reachable_sizes

__all__ = ["Solution", "solution"]

_EIGHTY = 1.2816
_SHOWN = 5


@dataclass(frozen=True)
class Solution:
    """A predicted optimum.

    Attributes:
        costs: exact costs by name.
        divergence: predicted; low and high are the ends of its 80 % interval. ``high`` is ``None`` where the scores
            see no change at all and no evaluation says how much they miss.
        measured_on: how many measured evaluations corrected the level and gave the interval its width.
        seconds: what the solver took.
        latency: predicted on the experiment's device; ``None`` without one.
        predicted_for: that device and its compute unit, in words.
        latency_measured_on: how many measured latencies taught that prediction.
        forecasts: what escalation lets expect of it, by what it has gained in this search.
        best: the best measured member of the front within the budgets; ``None`` where none is.
        evaluated: evaluations of this very configuration, if there are any.
        budgets: upper bounds by cost name that it was solved for.
    """

    configuration: Configuration
    costs: Mapping[str, float]
    divergence: float
    low: float
    high: float | None
    measured_on: int
    seconds: float
    latency: LatencyEstimate | None = None
    latency_measured_on: int = 0
    predicted_for: str = ""
    forecasts: tuple[EscalationForecast, ...] = ()
    best: Record | None = None
    evaluated: tuple[Record, ...] = ()
    budgets: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        timed = f", {self.latency.ms:.3f} ms on {self.predicted_for}" if self.latency is not None else ""
        ends = f" ({self.low:.4g} to {self.high:.4g})" if self.high is not None else ""
        return (
            f"Solution(predicted: {self.costs['size_mb']:.3f} MB{timed}, divergence {self.divergence:.4g}{ends}; "
            f"configuration {self.configuration.hash})"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values, marked as a prediction."""
        return {
            "prediction": True,
            "divergence": self.divergence,
            "divergence_interval_80": None if self.high is None else [self.low, self.high],
            "measured_on": self.measured_on,
            "solver_seconds": self.seconds,
            "configuration_hash": self.configuration.hash,
            **self.costs,
            **self._latency_json(),
            "after_escalation": [forecast.to_json() for forecast in self.forecasts],
            "best_measured": None if self.best is None else _measured_json(self.best),
            "evaluated_as": [_measured_json(record) for record in self.evaluated],
            "budgets": dict(self.budgets),
            "configuration": {name: str(encoding) for name, encoding in self.configuration.in_order.items()},
        }

    def _latency_json(self) -> dict[str, Any]:
        if self.latency is None:
            return {}
        ends = [self.latency.low, self.latency.high]
        return {
            "latency_ms": self.latency.ms,
            "latency_ms_interval_80": ends,
            "latency_measured_on": self.latency_measured_on,
        }


def solution(
    experiment: Experiment,
    context: StudyContext,
    scores: Scores,
    records: Sequence[Record],
    budgets: Mapping[str, float],
    latency: LatencyModel | None = None,
    best: Record | None = None,
) -> Solution:
    """Solve for budgets of size, latency or both.

    Args:
        records: of the search; the data-free ones correct the level of the prediction, escalations what follows them.
        budgets: upper bounds by cost name, ``size_mb`` and ``latency_ms``.
        latency: predicts latency; needed where it is bounded.
        best: the best measured member of the front within the budgets, to stand beside the prediction.

    Raises:
        UserError: if the budgets cannot be met: the closest that can, and the layers that block.
    """
    _check(experiment, budgets, latency)
    reachable = reachable_sizes(context.space, experiment.deployment_target, context.rest_bytes)
    started = time.perf_counter()
    problem = allocation_problem(context.space, experiment.deployment_target, context.rest_bytes, scores, latency)
    allocation = _solve(problem, budgets, reachable, latency)
    seconds = time.perf_counter() - started
    configuration = allocated_configuration(context.space, allocation)
    divergence, low, high, learnt = _expected(scores, _data_free(scores, records), configuration, allocation.loss)
    return Solution(
        configuration,
        allocation.costs,
        divergence,
        low,
        high,
        learnt,
        seconds,
        latency.predict(configuration) if latency is not None else None,
        latency.measured if latency is not None else 0,
        f"{latency.device.name}, {latency.setting}" if latency is not None else "",
        escalation_forecasts(records, divergence),
        best,
        _evaluated(records, configuration),
        dict(budgets),
    )


def _data_free(scores: Scores, records: Sequence[Record]) -> list[Record]:
    """Evaluations that the scores predict: data-free ones, of encodings that were scored."""
    return [r for r in records if r.workflow == Workflow.DATA_FREE and scores.covers(r.configuration)]


def _evaluated(records: Sequence[Record], configuration: Configuration) -> tuple[Record, ...]:
    """Evaluations of one configuration, whatever the workflow; repeats of a trial are left out."""
    found = [r for r in records if r.evaluation is not None and r.answered_from is None]
    return tuple(r for r in found if r.configuration == configuration)


def _measured_json(record: Record) -> dict[str, Any]:
    evaluation = record.evaluation
    return {
        "trial": record.trial,
        "workflow": record.workflow,
        **record.costs,
        "divergence": evaluation.divergence if evaluation is not None else None,
    }


def _expected(
    scores: Scores, records: Sequence[Record], configuration: Configuration, loss: float
) -> tuple[float, float, float | None, int]:
    """The divergence of a configuration of this score, its interval's ends, and how many evaluations taught them."""
    level = score_level(scores, records)
    if loss <= 0:
        return _unseen(level.unseen)
    ratios = level.ratios(loss)
    centre = float(np.median(ratios)) if ratios else 0.0
    spread = float(np.std(ratios)) if len(ratios) > 2 else UNTAUGHT_SPREAD
    sampling = (scores.standard_error(configuration) or 0.0) / max(loss, 1e-12)
    width = _EIGHTY * float(np.hypot(spread, sampling))
    predicted = loss * float(np.exp(centre))
    return predicted, predicted * float(np.exp(-width)), predicted * float(np.exp(width)), len(ratios)


def _unseen(measured: Sequence[float]) -> tuple[float, float, float | None, int]:
    """What configurations without any score were measured to lose; nothing is promised where none was."""
    if not measured:
        return 0.0, 0.0, None, 0
    return float(np.median(measured)), min(measured), max(measured), len(measured)


def _check(experiment: Experiment, budgets: Mapping[str, float], latency: LatencyModel | None) -> None:
    if not budgets:
        raise UserError("say for which budget: --max-size-mb, --max-latency-ms or both")
    for cost, budget in budgets.items():
        if not budget > 0:
            raise UserError(f"--max-{cost.replace('_', '-')} {budget:g}: expected a positive number")
    if LATENCY in budgets and latency is None:
        raise UserError(
            f"--max-latency-ms: the search of {experiment.name!r} is for no device; name one under [device], and "
            "search again with --fresh (weights and scores are kept)"
        )


def _solve(
    problem: Problem, budgets: Mapping[str, float], reachable: Reach, latency: LatencyModel | None
) -> Allocation:
    if SIZE in budgets:
        check_budget(reachable, budgets[SIZE] * 1e6)
    if latency is None or LATENCY not in budgets:
        return solve_within(problem, budgets)
    assert isinstance(problem, LatencyProblem)
    found = latency_reach(problem.space, latency)
    check_latency(found, latency, budgets[LATENCY])
    try:
        return solve_within(problem, budgets)
    except Infeasible as error:
        raise BudgetError(_too_tight(problem, budgets, found)) from error


def _too_tight(problem: LatencyProblem, budgets: Mapping[str, float], found: LatencyReach) -> str:
    """Two budgets that can be met alone: how near one comes while the other is kept, and the layers where they part."""
    fastest = _indices(problem, found.fastest)
    small = solve_within(replace(problem, losses=problem.costs[SIZE]), {LATENCY: budgets[LATENCY]})
    tangent = problem.at(fastest)
    quick = solve_within(replace(tangent, losses=tangent.costs[LATENCY]), {SIZE: budgets[SIZE]})
    spent = [problem.costs[SIZE][g][choice] for g, choice in enumerate(small.choices)]
    order = sorted(range(len(spent)), key=lambda g: -spent[g])[:_SHOWN]
    listed = ", ".join(
        f"{problem.space.groups[g][0]} ({spent[g]:.3f} MB as "
        f"{problem.space.menus[problem.space.groups[g][0]].encodings[small.choices[g]]})"
        for g in order
    )
    return (
        f"{budgets[SIZE]:g} MB and {budgets[LATENCY]:g} ms cannot be reached together: within {budgets[LATENCY]:g} ms "
        f"the smallest is {small.costs[SIZE]:.3f} MB, most of it in {listed}; within {budgets[SIZE]:g} MB about the "
        f"fastest is {quick.costs[LATENCY]:.3f} ms. Allow more of one of them"
    )


def _indices(problem: LatencyProblem, configuration: Configuration) -> tuple[int, ...]:
    space = problem.space
    return tuple(space.menus[g[0]].encodings.index(configuration.encodings[g[0]]) for g in space.groups)
