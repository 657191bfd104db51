"""Seeds: the first trials, so that every sampler starts from something usable.

Uniform configurations show what is done by hand; solved ones are the best predicted for budgets spread over the
reachable range.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluators.sensitivity.scores import Scores
from search.allocation import LATENCY, SIZE, allocation_problem, configuration_of, refined
from search.guided_sampler import GuidedSampler
from search.objectives import ObjectiveSet
from search.preparation import Preparation
from search.solver import Allocation, Problem, sweep
from search.study import Seed

__all__ = ["guided_sampler", "problem_of", "seeds"]


def problem_of(preparation: Preparation, scores: Scores) -> Problem:
    """The allocation problem of a prepared experiment."""
    target = preparation.experiment.deployment_target
    return allocation_problem(preparation.space, target, preparation.rest, scores, preparation.latency)


def guided_sampler(preparation: Preparation, scores: Scores, objectives: ObjectiveSet, seed: int) -> GuidedSampler:
    """Our own sampler over this search's space."""
    space = preparation.space
    menus = [[str(e) for e in space.menus[group[0]].encodings] for group in space.groups]
    names = [group[0] if len(menu) > 1 else None for group, menu in zip(space.groups, menus, strict=True)]
    return GuidedSampler(problem_of(preparation, scores), names, menus, objectives, seed)


def seeds(preparation: Preparation, scores: Scores | None) -> list[Seed]:
    """The uniform configurations, then solved ones from the largest budget to the smallest, none twice."""
    found: dict[str, Seed] = {}
    for encoding in preparation.experiment.space.parsed:
        configuration = preparation.space.uniform(encoding)
        found.setdefault(configuration.hash, Seed(f"uniform {encoding}", configuration))
    if scores is not None and preparation.experiment.search.solved_seeds:
        for cost in preparation.experiment.objectives.cost:
            for allocation in _spread(preparation, scores, cost):
                configuration = configuration_of(preparation.space, allocation)
                origin = f"solved {allocation.costs[cost]:.3f} {cost.split('_')[1].upper() if cost == SIZE else 'ms'}"
                found.setdefault(configuration.hash, Seed(origin, configuration))
    return list(found.values())


def _spread(preparation: Preparation, scores: Scores, cost: str) -> Sequence[Allocation]:
    """Members of the solved front, evenly spread over the logarithm of one cost within the constraints."""
    problem = problem_of(preparation, scores)
    members = sweep(problem, cost)
    limits = preparation.experiment.constraints
    bounds = {SIZE: limits.max_size_mb, LATENCY: limits.max_latency_ms}
    allowed = [
        member
        for member in members
        if all(bound is None or member.costs.get(name, 0.0) <= bound for name, bound in bounds.items())
    ] or members[:1]
    values = np.log([member.costs[cost] for member in allowed])
    wanted = np.linspace(values[-1], values[0], preparation.experiment.search.solved_seeds)
    picked = dict.fromkeys(int(np.abs(values - value).argmin()) for value in wanted)
    return [refined(problem, cost, allowed[index]) for index in picked]
