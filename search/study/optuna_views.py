"""Optuna's study as samplers see it. The one place that overrides a private name of Optuna's (5.0)."""

from __future__ import annotations

from collections.abc import Container

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from palettune.search.study.record_codec import ESCALATED_FROM

__all__ = ["DataFreeView"]


class DataFreeView(Study):  # type: ignore[misc]
    """A study whose trials are the data-free ones alone, for asking samplers: results of escalations never reach them.

    Samplers read trials by ``get_trials``, which calls ``_get_trials``, or by ``_get_trials`` itself.
    """

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        found = super()._get_trials(deepcopy, states, use_cache)
        return [trial for trial in found if ESCALATED_FROM not in trial.user_attrs]
