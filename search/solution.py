"""The best configuration for a budget, predicted from saved scores: no model is loaded and nothing is evaluated."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluators.sensitivity.scores import Scores
from search.allocation import SIZE, allocation_problem, configuration_of
from search.context import StudyContext
from search.experiment import Experiment
from search.solver import solve
from search.study import Record
from space.configuration import Configuration
from space.errors import UserError
from space.reach import check_budget, reach

__all__ = ["Solution", "solution"]

_EIGHTY = 1.2816


@dataclass(frozen=True)
class Solution:
    """A predicted optimum.

    Attributes:
        costs: exact costs by name.
        divergence: predicted; low and high are the ends of its 80 % interval.
        measured_on: how many measured evaluations corrected the level and gave the interval its width.
        seconds: what the solver took.
    """

    configuration: Configuration
    costs: Mapping[str, float]
    divergence: float
    low: float
    high: float
    measured_on: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values; says that it is a prediction."""
        return {
            "prediction": True,
            "divergence": self.divergence,
            "divergence_interval_80": [self.low, self.high],
            "measured_on": self.measured_on,
            "solver_seconds": self.seconds,
            "configuration_hash": self.configuration.hash,
            **self.costs,
            "configuration": {name: str(encoding) for name, encoding in self.configuration.encodings.items()},
        }


def solution(
    experiment: Experiment, context: StudyContext, scores: Scores, records: Sequence[Record], max_size_mb: float
) -> Solution:
    """Solve for a size budget.

    Raises:
        UserError: if the budget cannot be met: the closest that can, and the layers that block.
    """
    if max_size_mb <= 0:
        raise UserError(f"--max-size-mb {max_size_mb:g}: expected a positive size")
    check_budget(reach(context.space, experiment.deployment_target, context.rest_bytes), max_size_mb * 1e6)
    started = time.perf_counter()
    problem = allocation_problem(context.space, experiment.deployment_target, context.rest_bytes, scores)
    allocation = solve(problem, {SIZE: max_size_mb}, relative_gap=1e-4)
    seconds = time.perf_counter() - started
    configuration = configuration_of(context.space, allocation)
    ratios = _ratios(scores, records, allocation.loss)
    centre = float(np.median(ratios)) if ratios else 0.0
    spread = float(np.std(ratios)) if len(ratios) > 2 else 0.7  # until measured: a factor of two either way
    sampling = (scores.standard_error(configuration) or 0.0) / max(allocation.loss, 1e-12)
    width = _EIGHTY * float(np.hypot(spread, sampling))
    predicted = allocation.loss * float(np.exp(centre))
    low, high = predicted * float(np.exp(-width)), predicted * float(np.exp(width))
    return Solution(configuration, allocation.costs, predicted, low, high, len(ratios), seconds)


def _ratios(scores: Scores, records: Sequence[Record], loss: float) -> list[float]:
    """log(measured / predicted) of the evaluations whose prediction is nearest to this one's, a dozen at most."""
    pairs = []
    for record in records:
        if record.evaluation is None or record.evaluation.divergence <= 0 or record.answered_from is not None:
            continue
        predicted = scores.predict(record.configuration)
        if predicted > 0:
            pairs.append((abs(np.log(predicted / max(loss, 1e-12))), np.log(record.evaluation.divergence / predicted)))
    near = [(distance, ratio) for distance, ratio in sorted(pairs)[:12] if distance < 1.5]
    return [float(ratio) for _, ratio in near]
