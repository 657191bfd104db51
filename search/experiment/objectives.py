"""Objectives: the values a study optimizes, their scale, and the constraints on them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import moocore
import numpy as np
from numpy.typing import NDArray

from palettune.evaluators.quality.evaluation import Evaluation
from palettune.search.experiment.experiment import Constraints, Experiment

__all__ = ["MEGABYTE", "Costs", "Objective", "ObjectiveSet", "hypervolume", "non_dominated", "objective_set"]

Costs = Mapping[str, float]
"""What a configuration costs by cost name: ``size_mb`` (10^6 bytes in the weight file), ``latency_ms``."""

MEGABYTE = 1e6
_DECADES = 4.0
NOTICEABLE = 0.10
"""Latencies nearer than that are one: compressed over fp16, two editions of the vendor's own table differ by that much in
one model of ten (``docs/latency.md``), and predictions by more."""
SLOWEST = (1 + NOTICEABLE) ** 4
"""A configuration no faster than the fp16 model may still be smaller: up to this many times as slow it counts."""


@dataclass(frozen=True)
class Objective:
    """One axis of the front.

    Attributes:
        name: ``divergence``, a metric's name, or a cost's name.
        direction: Optuna's word.
        reference: the worst value that counts: a constant output's divergence, the float model's cost (for a latency,
            ``SLOWEST`` times that), or for a metric the float value to lose (or add) whole.
        origin: the value at which a metric loses nothing (the float model's own); unused elsewhere.
        logarithmic: measured in decades (four of them below ``reference``) rather than linearly.
        resolution: relative difference below which two values are not told apart by the front; 0 for none.
    """

    name: str
    direction: Literal["minimize", "maximize"]
    reference: float
    origin: float = 0.0
    logarithmic: bool = False
    resolution: float = 0.0

    def level(self, value: float) -> float:
        """Return what the front compares, lower is better: the value, or the number of its step if it has a resolution.

        Steps are even in the logarithm and centred on ``reference`` (the boxes of Laumanns et al. 2002).
        """
        if not self.resolution:
            return value if self.direction == "minimize" else -value
        return float(round(math.log(max(value, 1e-30) / self.reference) / math.log1p(self.resolution)))

    def loss(self, value: float) -> float:
        """Scale a value so that 0 is ideal and 1 the reference; lower is better."""
        if self.logarithmic:
            floor = self.reference * 10.0**-_DECADES
            return math.log10(max(value, floor) / floor) / _DECADES
        distance = value - self.origin if self.direction == "minimize" else self.origin - value
        return max(distance, 0.0) / self.reference


@dataclass(frozen=True)
class ObjectiveSet:
    """The quality objective, then the costs, and the constraints of one experiment."""

    objectives: tuple[Objective, ...]
    constraints: Constraints

    @property
    def directions(self) -> list[str]:
        """For Optuna, in order."""
        return [objective.direction for objective in self.objectives]

    def values(self, evaluation: Evaluation, costs: Costs) -> list[float]:
        """Return the objective values of one evaluation, in order."""
        quality = self.objectives[0].name
        first = evaluation.divergence if quality == "divergence" else evaluation.metrics[quality]
        return [first, *(costs[objective.name] for objective in self.objectives[1:])]

    def losses(self, values: Sequence[float]) -> list[float]:
        """Scale objective values so that 0 is ideal and 1 the reference."""
        return [objective.loss(value) for objective, value in zip(self.objectives, values, strict=True)]

    def violations(self, evaluation: Evaluation, costs: Costs) -> list[float]:
        """Return by how much each constraint is broken, relative to its bound; at most 0 where it is met."""
        return list(self.violations_by_key(evaluation, costs).values())

    def violations_by_key(self, evaluation: Evaluation, costs: Costs) -> dict[str, float]:
        """Return the violations by the key that sets the bound, such as ``max_size_mb``."""
        c = self.constraints
        bounds = {key: (value, bound, 1.0) for key, (value, bound) in self._budgets(costs).items()}
        if c.max_divergence is not None:
            bounds["max_divergence"] = (evaluation.divergence, c.max_divergence, 1.0)
        for name, limits in c.metrics.items():
            if limits.max is not None:
                bounds[f"metrics.{name}.max"] = (evaluation.metrics[name], limits.max, 1.0)
            if limits.min is not None:
                bounds[f"metrics.{name}.min"] = (evaluation.metrics[name], limits.min, -1.0)
        return {key: sign * (value - bound) / max(abs(bound), 1e-12) for key, (value, bound, sign) in bounds.items()}

    def affordable(self, costs: Costs) -> bool:
        """Return whether costs are within their bounds, whatever the quality."""
        return all(value <= bound for value, bound in self._budgets(costs).values())

    def _budgets(self, costs: Costs) -> dict[str, tuple[float, float]]:
        c = self.constraints
        limits = (("size_mb", c.max_size_mb), ("latency_ms", c.max_latency_ms))
        return {f"max_{name}": (costs[name], bound) for name, bound in limits if bound is not None}


def objective_set(
    experiment: Experiment, chance: float, float_metrics: Mapping[str, float], float_costs: Costs
) -> ObjectiveSet:
    """Build the objectives of an experiment, scaled by what is known before any trial.

    Args:
        chance: divergence of a constant output.
        float_metrics: the float model's metrics.
        float_costs: the costs of the uncompressed (fp16) model.
    """
    quality = experiment.objectives.quality
    if quality == "divergence":
        first = Objective("divergence", "minimize", chance, logarithmic=True)
    else:
        value = float_metrics[quality.metric]
        first = Objective(quality.metric, quality.direction, max(abs(value), 1e-12), origin=value)
    costs = tuple(_cost(name, float_costs[name]) for name in experiment.objectives.cost)
    return ObjectiveSet((first, *costs), experiment.constraints)


def _cost(name: str, of_float: float) -> Objective:
    if name != "latency_ms":
        return Objective(name, "minimize", of_float)
    return Objective(name, "minimize", SLOWEST * of_float, resolution=NOTICEABLE)


def non_dominated(losses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return a mask of the rows that no other row dominates; of equal rows, the first."""
    if not len(losses):
        return np.zeros(0, dtype=bool)
    return np.asarray(moocore.is_nondominated(losses, keep_weakly=False), dtype=bool)


def hypervolume(losses: NDArray[np.float64]) -> float:
    """Return the share of the unit box that the rows dominate, in [0, 1].

    The box spans each objective from ideal to reference: costs relative to the uncompressed model, divergence over
    four decades below that of a constant output, metrics relative to the float model's value.
    """
    inside = losses[(losses < 1.0).all(axis=1)] if len(losses) else losses
    if not len(inside):
        return 0.0
    return float(moocore.hypervolume(inside, ref=np.ones(losses.shape[1])))
