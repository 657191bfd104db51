"""A search space and its scores as the allocation problem that the solver takes, and its answers read back."""

from __future__ import annotations

import numpy as np

from device_bench.cost.latency_model import LinearLatency
from evaluators.sensitivity.scores import Scores
from search.solver import Allocation, Problem
from space.configuration import Configuration
from space.footprint import layer_bytes
from space.search_space import SearchSpace
from space.target import DeploymentTarget

__all__ = ["LATENCY", "SIZE", "allocation_problem", "configuration_of"]

SIZE, LATENCY = "size_mb", "latency_ms"
_MEGABYTE = 1e6


def allocation_problem(
    space: SearchSpace, target: DeploymentTarget, rest: int, scores: Scores, latency: LinearLatency | None = None
) -> Problem:
    """Scores and costs of every choice of every group, as the solver takes them: MB (10^6 bytes), and ms where known.

    Args:
        rest: bytes in the weight file of everything that is not a layer's weight.
        latency: predicted latency by layer, made additive at some configuration.
    """
    losses, sizes = [], []
    for group in space.groups:
        menu = space.menus[group[0]].encodings
        losses.append(np.array([sum(scores.score(name, e) for name in group) for e in menu]))
        spent = [sum(layer_bytes(space.menus[name].layer, e, target) for name in group) for e in menu]
        sizes.append(np.array(spent) / _MEGABYTE)
    costs, constants = {SIZE: tuple(sizes)}, {SIZE: rest / _MEGABYTE}
    if latency is not None:
        costs[LATENCY] = tuple(
            np.array([sum(latency.cost(name, e) for name in group) for e in space.menus[group[0]].encodings])
            for group in space.groups
        )
        constants[LATENCY] = latency.constant_ms
    return Problem(tuple(losses), costs, constants)


def configuration_of(space: SearchSpace, allocation: Allocation) -> Configuration:
    """The configuration that an allocation stands for."""
    encodings = {}
    for group, index in zip(space.groups, allocation.choices, strict=True):
        encodings.update(dict.fromkeys(group, space.menus[group[0]].encodings[index]))
    return Configuration(encodings)
