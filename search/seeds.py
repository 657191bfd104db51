"""Seeds: the first trials, so that every sampler starts from something usable.

Uniform configurations show what is done by hand; solved ones are the best predicted for budgets spread over the
reachable range.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluators.sensitivity.scores import Scores
from search.guided_sampler import GuidedSampler
from search.objectives import ObjectiveSet
from search.preparation import MEGABYTE, Preparation
from search.solver import Allocation, Problem, sweep
from search.study import Seed
from space.configuration import Configuration

__all__ = ["allocation_problem", "configuration_of", "seeds"]

SIZE = "size_mb"


def allocation_problem(preparation: Preparation, scores: Scores) -> Problem:
    """Scores and bytes of every choice of every group, as the solver takes them. Costs are in MB (10^6 bytes)."""
    losses, sizes = [], []
    for group in preparation.space.groups:
        menu = preparation.space.menus[group[0]].encodings
        losses.append(np.array([sum(scores.score(name, e) for name in group) for e in menu]))
        sizes.append(np.array([preparation.group_bytes(group, e) / MEGABYTE for e in menu]))
    return Problem(tuple(losses), {SIZE: tuple(sizes)}, {SIZE: preparation.rest / MEGABYTE})


def configuration_of(preparation: Preparation, allocation: Allocation) -> Configuration:
    """The configuration that an allocation stands for."""
    encodings = {}
    for group, index in zip(preparation.space.groups, allocation.choices, strict=True):
        encodings.update(dict.fromkeys(group, preparation.space.menus[group[0]].encodings[index]))
    return Configuration(encodings)


def guided_sampler(preparation: Preparation, scores: Scores, objectives: ObjectiveSet, seed: int) -> GuidedSampler:
    """Our own sampler over this search's space."""
    space = preparation.space
    menus = [[str(e) for e in space.menus[group[0]].encodings] for group in space.groups]
    names = [group[0] if len(menu) > 1 else None for group, menu in zip(space.groups, menus, strict=True)]
    return GuidedSampler(allocation_problem(preparation, scores), names, menus, objectives, seed)


def seeds(preparation: Preparation, scores: Scores | None) -> list[Seed]:
    """The uniform configurations, then solved ones from the largest budget to the smallest, none twice."""
    found: dict[str, Seed] = {}
    for encoding in preparation.experiment.space.parsed:
        configuration = preparation.space.uniform(encoding)
        found.setdefault(configuration.hash, Seed(f"uniform {encoding}", configuration))
    if scores is not None and preparation.experiment.search.solved_seeds:
        for allocation in _spread(preparation, scores):
            configuration = configuration_of(preparation, allocation)
            origin = f"solved {allocation.costs[SIZE]:.3f} MB"
            found.setdefault(configuration.hash, Seed(origin, configuration))
    return list(found.values())


def _spread(preparation: Preparation, scores: Scores) -> Sequence[Allocation]:
    """Members of the solved front, evenly spread over the logarithm of the size within the constraints."""
    members = sweep(allocation_problem(preparation, scores), SIZE)
    bound = preparation.experiment.constraints.max_size_mb
    allowed = [member for member in members if bound is None or member.costs[SIZE] <= bound] or members[:1]
    sizes = np.log([member.costs[SIZE] for member in allowed])
    wanted = np.linspace(sizes[-1], sizes[0], preparation.experiment.search.solved_seeds)
    picked = dict.fromkeys(int(np.abs(sizes - size).argmin()) for size in wanted)
    return [allowed[index] for index in picked]
