"""The first trials, so that every sampler starts from something usable.

Uniform configurations show what is done by hand; solved ones are those that together promise the best front.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from palettune.search.experiment.objectives import Objective, ObjectiveSet
from palettune.search.proposing.allocation import LATENCY, SIZE, allocated_configuration, refined
from palettune.search.proposing.expected_improvement import expected_gain
from palettune.search.proposing.solver import Allocation, Problem, sweep
from palettune.search.study.record import FirstTrial
from palettune.space.encoding import Encoding
from palettune.space.search_space import SearchSpace

__all__ = ["first_trials", "promising"]


def first_trials(
    space: SearchSpace,
    encodings: Sequence[Encoding],
    problem: Callable[[], Problem],
    objectives: ObjectiveSet,
    solved: int,
) -> list[FirstTrial]:
    """Return the uniform configurations, then solved ones, most promising first, none twice.

    Args:
        encodings: of the uniform configurations.
        problem: gives scores and exact costs of every choice; called where anything is to be solved.
        solved: configurations to be solved for each cost.
    """
    found: dict[str, FirstTrial] = {}
    for encoding in encodings:
        configuration = space.uniform(encoding)
        found.setdefault(configuration.hash, FirstTrial(f"uniform {encoding}", configuration))
    if solved:
        known = problem()
        for cost in (objective.name for objective in objectives.objectives[1:]):
            for member in _picked(known, cost, objectives, solved):
                allocation = refined(known, cost, member)
                configuration = allocated_configuration(space, allocation)
                origin = f"solved {allocation.costs[cost]:.3f} {cost.split('_')[1].upper() if cost == SIZE else 'ms'}"
                found.setdefault(configuration.hash, FirstTrial(origin, configuration))
    return list(found.values())


def _picked(problem: Problem, cost: str, objectives: ObjectiveSet, count: int) -> Sequence[Allocation]:
    """The members of the solved front within the constraints that promise most together."""
    members = sweep(problem, cost)
    limits = objectives.constraints
    bounds = {SIZE: limits.max_size_mb, LATENCY: limits.max_latency_ms}
    allowed = [
        member
        for member in members
        if all(bound is None or member.costs.get(name, 0.0) <= bound for name, bound in bounds.items())
    ] or members[:1]
    objective = next(objective for objective in objectives.objectives if objective.name == cost)
    by_level = {objective.level(m.costs[cost]): m for m in sorted(allowed, key=lambda m: -m.loss)}  # the best of each
    return promising(list(by_level.values()), cost, objectives, count)


def promising(members: Sequence[Allocation], cost: str, objectives: ObjectiveSet, count: int) -> list[Allocation]:
    """Pick members of a solved front; each adds most to the hypervolume predicted for those before it.

    Greedy subset selection is within 1 - 1/e of the best subset, since hypervolume is submodular (Guerreiro, Fonseca
    and Paquete 2016). Where the quality is a metric, predicted divergences stand for it.
    """
    quality = objectives.objectives[0]
    if quality.name != "divergence":
        quality = Objective("divergence", "minimize", max(member.loss for member in members) or 1.0, logarithmic=True)
    reference = next(objective.reference for objective in objectives.objectives if objective.name == cost)
    mean = np.array([quality.loss(member.loss) for member in members])
    costs = np.array([[member.costs[cost] / reference] for member in members])
    left, picked = np.ones(len(members), dtype=bool), list[int]()
    while len(picked) < min(count, len(members)):
        front = np.column_stack([mean[picked], costs[picked]])
        gains = expected_gain(front, costs, mean, np.full(len(members), 1e-9))
        if not (gains[left] > 1e-12).any():  # what is left promises nothing: take the rest spread over the cost
            rest = np.flatnonzero(left)
            wanted = np.linspace(0, len(rest) - 1, min(count, len(members)) - len(picked)).round().astype(int)
            picked += [int(rest[i]) for i in dict.fromkeys(wanted.tolist())]
            break
        best = int(np.where(left, gains, -1.0).argmax())
        picked.append(best)
        left[best] = False
    return [members[index] for index in picked]
