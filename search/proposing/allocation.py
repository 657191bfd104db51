"""A search space and its scores as the allocation problem that the solver takes, and its answers read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from palettune.device_bench.cost.latency_model import LatencyModel
from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.experiment.objectives import MEGABYTE
from palettune.search.proposing.solver import Allocation, Infeasible, Problem, Vector, solve, sweep
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.footprint import layer_bytes
from palettune.space.search_space import SearchSpace
from palettune.space.target import DeploymentTarget

__all__ = [
    "LATENCY",
    "SIZE",
    "LatencyProblem",
    "allocated_configuration",
    "allocation_problem",
    "refined",
    "solve_within",
]

SIZE, LATENCY = "size_mb", "latency_ms"
_ROUNDS = 12


@dataclass(frozen=True)
class LatencyProblem(Problem):
    """An allocation problem whose latency is additive only around one configuration.

    ``costs[LATENCY]`` is the tangent there, a lower bound everywhere; ``total`` and ``totals`` are exact within the
    latency model.

    Attributes:
        space: whose groups these are.
        model: predicts the latency.
        busy, stream: per group, the two times of each choice, whose sums decide the latency.
    """

    space: SearchSpace
    model: LatencyModel
    busy: tuple[Vector, ...]
    stream: tuple[Vector, ...]

    def total(self, cost: str, choices: Sequence[int]) -> float:
        """Return a cost of one allocation, the constant included."""
        if cost != LATENCY:
            return super().total(cost, choices)
        return float(self.totals(cost, np.array([choices]))[0])

    def totals(self, cost: str, choices: NDArray[np.int64]) -> Vector:
        """Return a cost of many allocations at once: (n, groups) indices to (n,) costs."""
        if cost != LATENCY:
            return super().totals(cost, choices)
        busy, stream = (np.full(len(choices), rest) for rest in self.model.rest_times)
        for group in range(choices.shape[1]):
            busy += self.busy[group][choices[:, group]]
            stream += self.stream[group][choices[:, group]]
        return self.model.milliseconds(busy, stream)

    def tangent(self, choices: Sequence[int]) -> tuple[tuple[Vector, ...], float]:
        """Return additive latencies that are exact at an allocation: of each choice of each group, and the constant."""
        linear = self.model.linearized(_configuration(self.space, choices))
        rows = zip(self.busy, self.stream, strict=True)
        return tuple(linear.busy_weight * b + linear.stream_weight * s for b, s in rows), linear.constant_ms

    def at(self, choices: Sequence[int]) -> LatencyProblem:
        """Return this problem with its tangent at another allocation."""
        costs, constant = self.tangent(choices)
        return replace(self, costs={**self.costs, LATENCY: costs}, constants={**self.constants, LATENCY: constant})


def allocation_problem(
    space: SearchSpace, target: DeploymentTarget, rest: int, scores: Scores, latency: LatencyModel | None = None
) -> Problem:
    """Build the solver's problem: scores and costs of every choice of every group, in MB (10^6 bytes) and ms.

    Args:
        rest: bytes in the weight file of everything that is not a layer's weight.
        latency: predicts latency; its tangent is taken in the middle of the menus.
    """
    losses, sizes = [], []
    for group in space.groups:
        menu = space.menus[group[0]].encodings
        losses.append(np.array([sum(scores.score(name, e) for name in group) for e in menu]))
        spent = [sum(layer_bytes(space.menus[name].layer, e, target) for name in group) for e in menu]
        sizes.append(np.array(spent) / MEGABYTE)
    costs, constants = {SIZE: tuple(sizes)}, {SIZE: rest / MEGABYTE}
    if latency is None:
        return Problem(tuple(losses), costs, constants)
    times = [_times(space, latency, group) for group in space.groups]
    busy, stream = (tuple(table[:, part] for table in times) for part in (0, 1))
    middle = [int(np.argsort(row)[len(row) // 2]) for row in sizes]
    return LatencyProblem(tuple(losses), costs, constants, space, latency, busy, stream).at(middle)


def _times(space: SearchSpace, latency: LatencyModel, group: Sequence[str]) -> NDArray[np.float64]:
    """(choices, 2) milliseconds of one group."""
    menu = space.menus[group[0]].encodings
    return np.array([np.sum([latency.layer_times(name, e) for name in group], axis=0) for e in menu])


def solve_within(problem: Problem, budgets: Mapping[str, float]) -> Allocation:
    """Solve for the least loss within budgets, with the exact latency.

    Latency is convex in the sums that are additive, so every tangent is a bound below it: each answer that is too slow
    adds the tangent at itself, which it breaks, until one is fast enough (Kelley's cutting planes, 1960).

    Raises:
        Infeasible: no allocation is within them, or none was found in a dozen rounds.
    """
    if LATENCY not in budgets or not isinstance(problem, LatencyProblem):
        return solve(problem, budgets, relative_gap=1e-4)
    costs, constants = dict(problem.costs), dict(problem.constants)
    bounds = dict(budgets) | {LATENCY: budgets[LATENCY] * (1 - 1e-6)}
    for number in range(_ROUNDS):
        found = solve(Problem(problem.losses, costs, constants), bounds, relative_gap=1e-4)
        exact = problem.total(LATENCY, found.choices)
        if exact <= budgets[LATENCY]:
            return replace(found, costs={name: problem.total(name, found.choices) for name in problem.costs})
        cut = f"{LATENCY}, tangent {number}"
        costs[cut], constants[cut] = problem.tangent(found.choices)
        bounds[cut] = bounds[LATENCY]
    raise Infeasible(f"no allocation within {dict(budgets)} was found in {_ROUNDS} rounds")


def refined(problem: Problem, cost: str, member: Allocation) -> Allocation:
    """Solve again with the latency's tangent at a member of a sweep, until the member no longer changes."""
    if cost != LATENCY or not isinstance(problem, LatencyProblem):
        return member
    for _ in range(_ROUNDS):
        near = sweep(problem.at(member.choices), cost, points=200)
        better = [m for m in near if m.costs[cost] <= member.costs[cost] and m.loss < member.loss * (1 - 1e-9)]
        if not better:
            break
        member = min(better, key=lambda m: m.loss)
    return member


def allocated_configuration(space: SearchSpace, allocation: Allocation) -> Configuration:
    """Return the configuration of an allocation."""
    return _configuration(space, allocation.choices)


def _configuration(space: SearchSpace, choices: Sequence[int]) -> Configuration:
    encodings: dict[str, Encoding] = {}
    for group, index in zip(space.groups, choices, strict=True):
        encodings.update(dict.fromkeys(group, space.menus[group[0]].encodings[index]))
    return space.configuration(encodings)
