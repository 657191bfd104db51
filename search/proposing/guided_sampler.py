"""The guided sampler: level switches around the front and solved moves along it, screened by corrected scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from palettune.search.experiment.objectives import ObjectiveSet, non_dominated
from palettune.search.proposing.expected_improvement import expected_gain
from palettune.search.proposing.solver import Problem, sweep
from palettune.search.proposing.surrogate import Surrogate

__all__ = ["GuidedSampler"]

Choices = NDArray[np.int64]
_MUTANTS = 600


class GuidedSampler(BaseSampler):  # type: ignore[misc]
    """An Optuna sampler that proposes the configuration of the greatest expected hypervolume gain.

    Candidates are mutants of front members (some groups one or two levels down, others up) and allocations solved
    afresh with the corrected scores. Their costs are exact; their quality is what the surrogate expects. Trials still
    running count as if they had met their expectation, so that parallel proposals differ.

    Args:
        problem: scores and costs of every choice of every group.
        names: the parameter of each group; ``None`` for a group without a choice.
        choices: the spellings of each group's choices, in the problem's order.
        objectives: the study's objectives.
        seed: of the random numbers; a proposal depends on it and on the trials it sees, nothing else.
    """

    def __init__(
        self,
        problem: Problem,
        names: Sequence[str | None],
        choices: Sequence[Sequence[str]],
        objectives: ObjectiveSet,
        seed: int,
    ) -> None:
        self._problem = problem
        self._names = list(names)
        self._choices = [list(some) for some in choices]
        self._objectives = objectives
        self._random = np.random.default_rng(seed)
        self._fallback = RandomSampler(seed)
        self._position = [{spelling: i for i, spelling in enumerate(some)} for some in self._choices]
        self._by_cost = [np.argsort(cost, kind="stable") for cost in problem.costs[self._cost_names[0]]]
        self._rank = [np.argsort(order, kind="stable") for order in self._by_cost]

    @property
    def _cost_names(self) -> list[str]:
        return [objective.name for objective in self._objectives.objectives[1:]]

    # -- Optuna's interface -------------------------------------------------------------------------------------

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the whole space, which is known from the start."""
        return {
            name: CategoricalDistribution(some)
            for name, some in zip(self._names, self._choices, strict=True)
            if name is not None
        }

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Propose a configuration; nothing before a trial of this space and these objectives is finished."""
        states = (TrialState.COMPLETE, TrialState.RUNNING, TrialState.PRUNED, TrialState.FAIL)
        read = [
            (t, row)
            for t in study.get_trials(deepcopy=False, states=states)
            if t.number != trial.number and (row := self._read(t.params)) is not None
        ]
        done = [(t, row) for t, row in read if t.state == TrialState.COMPLETE]
        if not done or len(study.directions) != len(self._objectives.objectives):
            return {}
        running = [row for t, row in read if t.state == TrialState.RUNNING]
        known = {tuple(row) for _, row in read}
        proposal = self._propose(done, running, known)
        return {
            name: self._choices[group][proposal[group]]
            for group, name in enumerate(self._names)
            if name is not None and name in search_space
        }

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw at random what the relative proposal leaves open (before the first trial is finished)."""
        return self._fallback.sample_independent(study, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """Draw a new random state, as Optuna asks for in parallel processes."""
        self._random = np.random.default_rng()
        self._fallback.reseed_rng()

    # -- proposing ----------------------------------------------------------------------------------------------

    def _propose(
        self, done: Sequence[tuple[FrozenTrial, list[int]]], running: Sequence[list[int]], known: set[tuple[int, ...]]
    ) -> Choices:
        seen = np.array([row for _, row in done])
        values = np.array([t.values for t, _ in done])
        losses = np.array([self._objectives.losses(row) for row in values])
        feasible = np.array([all(v <= 0 for v in t.user_attrs.get("constraints", [])) for t, _ in done])
        usable = losses[feasible] if feasible.any() else losses
        parents = seen[feasible] if feasible.any() else seen
        member = non_dominated(usable)
        front, members = usable[member], parents[member]
        surrogate = Surrogate(self._problem.losses, self._objectives.objectives[0])
        surrogate.fit(seen, values[:, 0], losses[:, 0], _behind(losses, front))
        candidates = self._candidates(members, surrogate, known)
        if running:
            pending = np.array(running)
            front = np.concatenate([front, np.column_stack([surrogate.predict(pending)[0], self._costs(pending)])])
        costs = self._costs(candidates)
        mean, deviation = surrogate.predict(candidates)
        gain = expected_gain(front, costs, mean, deviation)
        gain[~self._within(candidates)] = -1.0
        return np.asarray(candidates[int(gain.argmax())])

    def _candidates(self, members: Choices, surrogate: Surrogate, known: set[tuple[int, ...]]) -> Choices:
        found = [row for row in (*self._solved(surrogate), *self._mutants(members)) if tuple(row) not in known]
        unique = {tuple(row): row for row in found}
        if not unique:  # everything near has been tried: go farther
            unique = {tuple(row): row for row in (self._random_choices() for _ in range(50))}
        return np.array(list(unique.values()))

    def _solved(self, surrogate: Surrogate) -> list[Choices]:
        corrected = surrogate.corrected
        losses = tuple(corrected[g, : len(row)] for g, row in enumerate(self._problem.losses))
        problem = Problem(losses, self._problem.costs, self._problem.constants)
        members = [m for cost in self._cost_names for m in sweep(problem, cost, points=120)]
        return [np.array(m.choices) for m in members]

    def _mutants(self, members: Choices) -> list[Choices]:
        """Front members with one to four groups moved a level or two along their cost order."""
        movable = [g for g, some in enumerate(self._choices) if len(some) > 1]
        rows = []
        for _ in range(_MUTANTS):
            row = members[self._random.integers(len(members))].copy()
            for group in self._random.choice(
                movable, size=min(len(movable), int(self._random.integers(1, 5))), replace=False
            ):
                steps = int(self._random.choice([-2, -1, -1, 1, 1, 2]))
                rank = int(np.clip(self._rank[group][row[group]] + steps, 0, len(self._choices[group]) - 1))
                row[group] = self._by_cost[group][rank]
            rows.append(row)
        return rows

    def _random_choices(self) -> Choices:
        return np.array([self._random.integers(len(some)) for some in self._choices])

    def _costs(self, choices: Choices) -> NDArray[np.float64]:
        columns = [self._problem.totals(name, choices) for name in self._cost_names]
        scales = [objective.reference for objective in self._objectives.objectives[1:]]
        return np.asarray(np.stack(columns, axis=1) / np.array(scales))

    def _within(self, choices: Choices) -> NDArray[np.bool_]:
        limits = self._objectives.constraints
        ok: NDArray[np.bool_] = np.ones(len(choices), dtype=bool)
        for name, bound in (("size_mb", limits.max_size_mb), ("latency_ms", limits.max_latency_ms)):
            if bound is not None and name in self._problem.costs:
                ok &= self._problem.totals(name, choices) <= bound
        return ok

    def _read(self, parameters: Mapping[str, Any]) -> list[int] | None:
        """The choices of one trial; ``None`` where its parameters are not all drawn."""
        try:
            return [
                0 if name is None else position[parameters[name]]
                for name, position in zip(self._names, self._position, strict=True)
            ]
        except KeyError:
            return None


def _behind(losses: NDArray[np.float64], front: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each row is behind the front: the least it must improve in every objective to reach it."""
    gaps = np.stack([(losses - member).max(axis=1) for member in front], axis=1)
    return np.asarray(gaps.min(axis=1))
