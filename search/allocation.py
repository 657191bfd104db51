"""A search space and its scores as the allocation problem that the solver takes, and its answers read back."""

from __future__ import annotations

import numpy as np

from evaluators.sensitivity.scores import Scores
from search.solver import Allocation, Problem
from space.configuration import Configuration
from space.footprint import layer_bytes
from space.search_space import SearchSpace
from space.target import DeploymentTarget

__all__ = ["SIZE", "allocation_problem", "configuration_of"]

SIZE = "size_mb"
_MEGABYTE = 1e6


def allocation_problem(space: SearchSpace, target: DeploymentTarget, rest: int, scores: Scores) -> Problem:
    """Scores and bytes of every choice of every group, as the solver takes them; costs are in MB (10^6 bytes).

    Args:
        rest: bytes in the weight file of everything that is not a layer's weight.
    """
    losses, sizes = [], []
    for group in space.groups:
        menu = space.menus[group[0]].encodings
        losses.append(np.array([sum(scores.score(name, e) for name in group) for e in menu]))
        spent = [sum(layer_bytes(space.menus[name].layer, e, target) for name in group) for e in menu]
        sizes.append(np.array(spent) / _MEGABYTE)
    return Problem(tuple(losses), {SIZE: tuple(sizes)}, {SIZE: rest / _MEGABYTE})


def configuration_of(space: SearchSpace, allocation: Allocation) -> Configuration:
    """The configuration that an allocation stands for."""
    encodings = {}
    for group, index in zip(space.groups, allocation.choices, strict=True):
        encodings.update(dict.fromkeys(group, space.menus[group[0]].encodings[index]))
    return Configuration(encodings)
