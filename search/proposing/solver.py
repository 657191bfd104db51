"""The allocation problem: one encoding for each group of layers, least predicted loss within budgets.

A multiple-choice knapsack. Exact answers come from HiGHS (Huangfu and Hall 2018); whole fronts from a Lagrangian sweep
(Everett 1963), whose members are optimal for the budget that they use.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import highspy
import numpy as np
from numpy.typing import NDArray

from palettune.search.experiment.objectives import non_dominated

__all__ = ["Allocation", "Infeasible", "Problem", "solve", "sweep"]

Vector = NDArray[np.float64]

_FEW_POINTS = 100
"""Multipliers that are enough for an allocation that bounds the best one."""


class Infeasible(ValueError):
    """No allocation meets the budgets."""


@dataclass(frozen=True)
class Problem:
    """Losses and costs of every choice, group by group.

    Attributes:
        losses: per group, the predicted loss of each choice.
        costs: per cost name, per group, the cost of each choice.
        constants: per cost name, what is paid whatever is chosen.
    """

    losses: tuple[Vector, ...]
    costs: Mapping[str, tuple[Vector, ...]]
    constants: Mapping[str, float]

    def total(self, cost: str, choices: Sequence[int]) -> float:
        """Return a cost of one allocation, the constant included."""
        return self.constants[cost] + float(sum(c[i] for c, i in zip(self.costs[cost], choices, strict=True)))

    def totals(self, cost: str, choices: NDArray[np.int64]) -> Vector:
        """Return a cost of many allocations at once: (n, groups) indices to (n,) costs."""
        width = max(len(row) for row in self.costs[cost])
        table = np.array([np.pad(row, (0, width - len(row))) for row in self.costs[cost]])
        return np.asarray(self.constants[cost] + table[np.arange(len(table)), choices].sum(axis=1))

    def loss(self, choices: Sequence[int]) -> float:
        """Return the predicted loss of one allocation."""
        return float(sum(loss[i] for loss, i in zip(self.losses, choices, strict=True)))

    def minimum(self, cost: str) -> float:
        """Return the least reachable value of a cost."""
        return self.constants[cost] + float(sum(c.min() for c in self.costs[cost]))


@dataclass(frozen=True)
class Allocation:
    """One choice per group, and what it is predicted to give.

    Attributes:
        choices: the index of the choice, by group.
        loss: predicted loss.
        costs: by name, constants included.
    """

    choices: tuple[int, ...]
    loss: float
    costs: Mapping[str, float]


def _allocation(problem: Problem, choices: Sequence[int]) -> Allocation:
    picked = tuple(int(choice) for choice in choices)
    return Allocation(picked, problem.loss(picked), {cost: problem.total(cost, picked) for cost in problem.costs})


def solve(
    problem: Problem, budgets: Mapping[str, float], *, seconds: float = 2.0, relative_gap: float = 1e-6
) -> Allocation:
    """Return the allocation of least loss whose costs are within the budgets.

    Args:
        budgets: upper bounds by cost name, constants included.
        seconds: time limit; the best allocation found by then is given.
        relative_gap: how far from optimal an answer may be.

    Raises:
        Infeasible: naming the budget that cannot be met and the least reachable value.
    """
    for cost, budget in budgets.items():
        if problem.minimum(cost) > budget:
            raise Infeasible(f"{cost} <= {budget:g} cannot be met: the least reachable is {problem.minimum(cost):g}")
    part, kept = _useful_part(problem, budgets)
    choices = _least_loss(part, budgets, seconds, relative_gap)
    return _allocation(problem, [int(places[choice]) for places, choice in zip(kept, choices, strict=True)])


def _useful_part(problem: Problem, budgets: Mapping[str, float]) -> tuple[Problem, list[NDArray[np.int64]]]:
    """The choices that an optimum may have, and their places by group: none that another beats, or that loses too much.

    HiGHS is quicker with fewer of them, and its absolute tolerances are small beside what they lose: a choice that loses
    a thousand times as much as the whole optimum would hide what others lose.
    """
    rows = [problem.costs[cost] for cost in budgets]
    kept = [
        np.flatnonzero(non_dominated(np.column_stack([loss, *(row[group] for row in rows)])))
        for group, loss in enumerate(problem.losses)
    ]
    part = _part(problem, budgets, kept)
    room = _reached(part, budgets) * (1 + 1e-9)
    few = [places[loss <= room] for places, loss in zip(kept, part.losses, strict=True)]
    return _part(problem, budgets, few), few


def _part(problem: Problem, budgets: Mapping[str, float], kept: Sequence[NDArray[np.int64]]) -> Problem:
    """The same with fewer choices in each group, losses above each group's least, and the costs that have a budget."""
    losses = tuple(loss[places] - loss.min() for loss, places in zip(problem.losses, kept, strict=True))
    costs = {
        cost: tuple(row[places] for row, places in zip(problem.costs[cost], kept, strict=True)) for cost in budgets
    }
    return Problem(losses, costs, problem.constants)


def _reached(problem: Problem, budgets: Mapping[str, float]) -> float:
    """The least loss within the budgets among sweeps of each cost; infinite where none is within them."""
    members = [member for cost in budgets for member in sweep(problem, cost, _FEW_POINTS)]
    within = [m.loss for m in members if all(m.costs[cost] <= budget for cost, budget in budgets.items())]
    return min(within, default=math.inf)


def _least_loss(problem: Problem, budgets: Mapping[str, float], seconds: float, relative_gap: float) -> list[int]:
    """The mixed-integer program: one choice of each group."""
    sizes = [len(loss) for loss in problem.losses]
    objective = np.concatenate(problem.losses)
    rows, most = [], []
    for cost, budget in budgets.items():
        row = np.concatenate(problem.costs[cost])
        unit = float(np.abs(row).max()) or 1.0
        rows.append(row / unit)
        most.append((budget - problem.constants[cost]) / unit)
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(objective), len(sizes) + len(rows)
    model.col_cost_ = objective / (float(objective.max()) or 1.0)
    model.col_lower_, model.col_upper_ = np.zeros(len(objective)), np.ones(len(objective))
    model.integrality_ = [highspy.HighsVarType.kInteger] * len(objective)
    model.row_lower_ = np.concatenate([np.ones(len(sizes)), np.full(len(rows), -highspy.kHighsInf)])
    model.row_upper_ = np.concatenate([np.ones(len(sizes)), most])
    group = np.repeat(np.arange(len(sizes)), sizes)
    columns = np.column_stack([np.ones(len(objective)), *rows])  # of each choice: one of its group, and what it costs
    below = np.tile(len(sizes) + np.arange(len(rows)), (len(objective), 1))
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = np.arange(len(objective) + 1) * columns.shape[1]
    model.a_matrix_.index_ = np.column_stack([group, below]).ravel()
    model.a_matrix_.value_ = columns.ravel()
    solver = highspy.Highs()
    for option, value in {"output_flag": False, "time_limit": seconds, "mip_rel_gap": relative_gap}.items():
        solver.setOptionValue(option, value)
    solver.passModel(model)
    solver.run()
    found = np.array(solver.getSolution().col_value)
    if not len(found) or solver.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        status = solver.modelStatusToString(solver.getModelStatus())
        raise Infeasible(f"no allocation within {dict(budgets)} was found: {status}")
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return [int(found[a:b].argmax()) for a, b in itertools.pairwise(offsets)]


def sweep(problem: Problem, cost: str, points: int = 2000) -> list[Allocation]:
    """Return the supported front of (cost, loss), from the cheapest allocation to the one of least loss.

    Args:
        cost: the cost traded against the loss.
        points: how many multipliers are tried; members that repeat are dropped.
    """
    width = max(len(loss) for loss in problem.losses)
    losses = np.array([np.pad(v, (0, width - len(v)), constant_values=np.inf) for v in problem.losses])
    costs = np.array([np.pad(v, (0, width - len(v)), constant_values=np.inf) for v in problem.costs[cost]])
    seen: dict[tuple[int, ...], Allocation] = {}
    for multiplier in _multipliers(problem, cost, points):
        penalised = np.where(np.isfinite(losses), losses, 0) + multiplier * np.where(np.isfinite(costs), costs, 0)
        penalised[~np.isfinite(losses)] = np.inf
        ties = penalised <= penalised.min(axis=1, keepdims=True) * (1 + 1e-12)
        choices = tuple(int(i) for i in np.where(ties, costs, np.inf).argmin(axis=1))
        if choices not in seen:
            seen[choices] = _allocation(problem, choices)
    members: list[Allocation] = []
    for member in sorted(seen.values(), key=lambda a: (a.costs[cost], a.loss)):
        if not members or member.loss < members[-1].loss:
            members.append(member)
    return members


def _multipliers(problem: Problem, cost: str, points: int) -> Vector:
    """Every exchange rate that can matter spans many decades: loss differences over cost differences."""
    steepest, flattest = 0.0, math.inf
    for loss, price in zip(problem.losses, problem.costs[cost], strict=True):
        rates = np.abs(np.subtract.outer(loss, loss)) / np.maximum(np.abs(np.subtract.outer(price, price)), 1e-12)
        positive = rates[rates > 0]
        if positive.size:
            steepest, flattest = max(steepest, float(positive.max())), min(flattest, float(positive.min()))
    if steepest == 0.0:
        return np.array([0.0, 1.0])
    return np.concatenate([[0.0], np.geomspace(flattest / 2, steepest * 2, points)])
