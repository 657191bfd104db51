"""Samplers by name, every setting explicit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from palettune.search.experiment.experiment import SamplerName

__all__ = ["CONSTRAINTS", "make_sampler"]

CONSTRAINTS = "constraints"
"""The trial attribute that holds constraint violations; at most 0 is met."""


def _violations(trial: FrozenTrial) -> Sequence[float]:
    return list(trial.user_attrs.get(CONSTRAINTS, []))


def make_sampler(name: SamplerName, seed: int, constrained: bool) -> BaseSampler:
    """A stock sampler of Optuna's.

    Args:
        name: ``tpe`` (multi-objective tree-structured Parzen estimator, Ozaki et al. 2022), ``nsga2`` (Deb et al.
            2002), ``gp`` (Gaussian processes, expected hypervolume improvement) or ``random``.
        seed: of its random numbers.
        constrained: whether trials carry constraint violations.
    """
    constraints: Callable[[FrozenTrial], Sequence[float]] | None = _violations if constrained else None
    if name == "tpe":
        # univariate: groups of dozens of categorical parameters are too many for a joint density
        return optuna.samplers.TPESampler(
            n_startup_trials=10,
            n_ei_candidates=24,
            multivariate=False,
            constant_liar=True,
            seed=seed,
            constraints_func=constraints,
        )
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(
            population_size=24,
            mutation_prob=None,
            crossover_prob=0.9,
            swapping_prob=0.5,
            seed=seed,
            constraints_func=constraints,
        )
    if name == "gp":
        return optuna.samplers.GPSampler(
            n_startup_trials=10, deterministic_objective=True, seed=seed, constraints_func=constraints
        )
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    raise ValueError(f"{name!r} is no stock sampler")
