"""Proposals of data-free trials: seeded by place; one that a killed search left half drawn is drawn anew as a whole."""

from __future__ import annotations

from collections.abc import Callable

from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.trial import Trial

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.experiment import Experiment
from palettune.search.study.data_free_view import DataFreeView
from palettune.space.configuration import Configuration
from palettune.space.search_space import SearchSpace

__all__ = ["Proposals", "SamplerFactory", "distributions_of"]

SamplerFactory = Callable[[int], BaseSampler]
"""Makes the sampler of one proposal from its seed."""


def distributions_of(space: SearchSpace) -> dict[str, CategoricalDistribution]:
    """Return Optuna's distribution of each parameter of a search space."""
    return {name: CategoricalDistribution(choices) for name, choices in space.choices.items()}


class Proposals:
    """Proposals of a study's samplers.

    The seed of a proposal depends on its place among the data-free trials, not on its number, so that escalations
    between them change nothing.
    """

    def __init__(self, view: DataFreeView, space: SearchSpace, experiment: Experiment) -> None:
        self._view, self._space, self._experiment = view, space, experiment
        self._distributions = distributions_of(space)

    def ask(self, place: int, sampler: SamplerFactory) -> tuple[int, Configuration]:
        """Begin the trial that waits, or else one with the sampler's proposal for this place."""
        self._view.sampler = sampler(self._seed(place))
        trial = self._view.ask(self._distributions)
        return trial.number, self._described(trial)

    def complete(self, trial_id: int, place: int, sampler: SamplerFactory) -> Configuration:
        """Return the configuration of a trial that has been begun; draw what its proposal lacks, which is the same."""
        self._view.sampler = sampler(self._seed(place))
        trial = Trial(self._view, trial_id)
        for name, distribution in self._distributions.items():
            if name not in trial.params:
                trial.suggest_categorical(name, distribution.choices)
        return self._described(trial)

    def _seed(self, place: int) -> int:
        return self._experiment.seed * 100_003 + place

    def _described(self, trial: Trial) -> Configuration:
        """The configuration of a trial, which is given the attributes that it lacks."""
        configuration = self._space.from_parameters(dict(trial.params))
        known = trial.user_attrs
        for key, value in (
            ("origin", self._experiment.search.sampler),
            ("workflow", str(Workflow.DATA_FREE)),
            ("configuration_hash", configuration.hash),
        ):
            if key not in known:
                trial.set_user_attr(key, value)
        return configuration
