"""Samplers by name, every setting explicit: the one place where a search's sampler is chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import optuna
from optuna.samplers import BaseSampler

from palettune.search.experiment.experiment import SamplerName
from palettune.search.experiment.objectives import ObjectiveSet
from palettune.search.proposing.guided_sampler import GuidedSampler
from palettune.search.proposing.solver import Problem
from palettune.search.proposing.unseen_sampler import UnseenSampler
from palettune.search.study.proposals import SamplerFactory, distributions_of
from palettune.space.search_space import SearchSpace

__all__ = ["SAMPLERS", "SamplerSetting", "sampler_factory"]


@dataclass(frozen=True)
class SamplerSetting:
    """Space, objectives and problem of a search, from which samplers are made.

    Attributes:
        problem: gives scores and exact costs of every choice; called once, at the first proposal that needs it.
    """

    space: SearchSpace
    objectives: ObjectiveSet
    problem: Callable[[], Problem]


def sampler_factory(name: SamplerName, setting: SamplerSetting) -> SamplerFactory:
    """Return a function from a seed to the sampler of one proposal, which never repeats an earlier one.

    Args:
        name: of ``SAMPLERS``.
    """
    make = SAMPLERS[name](setting)
    distributions = distributions_of(setting.space)
    return lambda seed: UnseenSampler(make(seed), distributions, seed)


def _guided(setting: SamplerSetting) -> SamplerFactory:
    space, problem = setting.space, cache(setting.problem)
    menus = [[str(encoding) for encoding in space.menus[group[0]].encodings] for group in space.groups]
    names = [group[0] if len(menu) > 1 else None for group, menu in zip(space.groups, menus, strict=True)]
    return lambda seed: GuidedSampler(problem(), names, menus, setting.objectives, seed)


def _tpe(setting: SamplerSetting) -> SamplerFactory:
    """Multi-objective tree-structured Parzen estimator (Ozaki et al. 2022)."""
    # univariate: groups of dozens of categorical parameters are too many for a joint density
    return lambda seed: optuna.samplers.TPESampler(
        n_startup_trials=10,
        n_ei_candidates=24,
        multivariate=False,
        constant_liar=True,
        seed=seed,
    )


def _nsga2(setting: SamplerSetting) -> SamplerFactory:
    """NSGA-II (Deb et al. 2002)."""
    return lambda seed: optuna.samplers.NSGAIISampler(
        population_size=24,
        mutation_prob=None,
        crossover_prob=0.9,
        swapping_prob=0.5,
        seed=seed,
    )


def _gp(setting: SamplerSetting) -> SamplerFactory:
    """Gaussian processes, expected hypervolume improvement."""
    return lambda seed: optuna.samplers.GPSampler(n_startup_trials=10, deterministic_objective=True, seed=seed)


def _random(setting: SamplerSetting) -> SamplerFactory:
    return lambda seed: optuna.samplers.RandomSampler(seed=seed)


SAMPLERS: Mapping[SamplerName, Callable[[SamplerSetting], Callable[[int], BaseSampler]]] = {
    "guided": _guided,
    "tpe": _tpe,
    "nsga2": _nsga2,
    "gp": _gp,
    "random": _random,
}
"""Every sampler by the name that experiments give it; all look at the constraints that trials carry."""
