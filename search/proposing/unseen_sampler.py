"""Proposals that were not made before: another sampler's, drawn again or picked where a space is nearly exhausted."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from palettune.evaluators.quality.evaluation import Failure, Stage

__all__ = ["UnseenSampler"]

_DRAWS = 5
_FEW = 2**16


class UnseenSampler(BaseSampler):  # type: ignore[misc]
    """Sampler that draws from another one until it proposes what no earlier trial has.

    After a few draws, one of the configurations that are left is picked at random, where the space is small enough to
    list them; in a larger one the last draw stands. A proposal depends on the seed and on the trials of lower number.

    Args:
        inner: the sampler.
        space: every parameter's choices, in the order in which they are suggested.
        seed: of the pick.
    """

    def __init__(self, inner: BaseSampler, space: Mapping[str, CategoricalDistribution], seed: int) -> None:
        self._inner, self._space, self._seed = inner, dict(space), seed

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, CategoricalDistribution]:
        """Return the whole space: every parameter is proposed at once."""
        return self._space

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Mapping[str, Any]) -> dict[str, Any]:
        """Propose values for the parameters asked for; nothing for a trial whose parameters are given."""
        if trial.system_attrs.get("fixed_params") or not self._space:
            return {}
        proposal = self._propose(study, trial)
        return {name: proposal[name] for name in search_space if name in proposal}

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        """Sample a parameter as the inner sampler does."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Call the inner sampler's ``before_trial``."""
        self._inner.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Call the inner sampler's ``after_trial``, which may keep constraints of its own."""
        self._inner.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Reseed the inner sampler."""
        self._inner.reseed_rng()

    def _propose(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        known = self._known(study, trial)
        for _ in range(_DRAWS):
            proposal = self._draw(study, trial)
            if tuple(proposal.values()) not in known:
                return proposal
        left = self._left(known)
        if not left:
            return proposal
        picked = left[int(np.random.default_rng([self._seed, 1]).integers(len(left)))]
        return dict(zip(self._space, picked, strict=True))

    def _draw(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        """In the order in which Optuna asks: what is proposed together first, then each parameter left."""
        together = self._inner.infer_relative_search_space(study, trial)
        found = self._inner.sample_relative(study, trial, together)
        return {
            name: found[name]
            if name in found
            else self._inner.sample_independent(study, trial, name, self._space[name])
            for name in self._space
        }

    def _known(self, study: Study, trial: FrozenTrial) -> set[tuple[Any, ...]]:
        """Choices of earlier trials, but for those that a worker took down with it: they may be tried again."""
        return {
            tuple(other.params[name] for name in self._space)
            for other in study.get_trials(deepcopy=False)
            if other.number < trial.number and set(other.params) == set(self._space) and not _lost(other)
        }

    def _left(self, known: set[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        choices = [distribution.choices for distribution in self._space.values()]
        if np.prod([float(len(some)) for some in choices]) > _FEW:
            return []
        return [picked for picked in itertools.product(*choices) if picked not in known]


def _lost(trial: FrozenTrial) -> bool:
    failure = trial.user_attrs.get("failure")
    return trial.state == TrialState.FAIL and failure is not None and Failure.from_json(failure).stage is Stage.LOST
