"""The study without its escalations and what was added to it, as samplers see it."""

from __future__ import annotations

from optuna.trial import FrozenTrial

from palettune.search.library_internals import FilteredStudy
from palettune.search.study.record_codec import ADDED, ESCALATED_FROM

__all__ = ["DataFreeView"]


class DataFreeView(FilteredStudy):
    """A study whose trials are the data-free ones alone: results of escalations, and of what was added,
    never reach the sampler."""

    def shows(self, trial: FrozenTrial) -> bool:
        """Return whether a sampler proposed the trial."""
        return ESCALATED_FROM not in trial.user_attrs and ADDED not in trial.user_attrs
