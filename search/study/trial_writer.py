"""Writing trials that no sampler proposes, and the results of all: begun, kept as soon as a result is there, told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import TrialState, create_trial

from palettune.search.experiment.objectives import ObjectiveSet
from palettune.search.study.escalation import EscalationResult
from palettune.search.study.long_values import LongValues
from palettune.search.study.proposals import distributions_of
from palettune.search.study.record import Record, Result
from palettune.search.study.record_codec import attributes_of, keep_violations, long_values_of
from palettune.space.search_space import SearchSpace

__all__ = ["TrialWriter"]


class TrialWriter:
    """Writer of a study's trials, by number.

    Args:
        study: all trials; asked for no proposal.
        values: the long values of results, by trial.
    """

    def __init__(
        self, study: Study, storage: BaseStorage, values: LongValues, space: SearchSpace, objectives: ObjectiveSet
    ) -> None:
        self._study, self._storage, self._values, self._objectives = study, storage, values, objectives
        self._study_id = storage.get_study_id_from_name(study.study_name)
        self._distributions = distributions_of(space)

    def begin(self, parameters: Mapping[str, str], attributes: Mapping[str, Any]) -> int:
        """Begin a trial that is RUNNING; give its number."""
        trial = create_trial(
            state=TrialState.RUNNING,
            params=dict(parameters),
            distributions={name: self._distributions[name] for name in parameters},
            user_attrs=dict(attributes),
        )
        self._study.add_trial(trial)
        return int(self._study.get_trials(deepcopy=False)[-1].number)

    def keep(self, number: int, result: Result | EscalationResult, span: tuple[float, float]) -> None:
        """Write a result as soon as it exists, before its turn to be told comes."""
        self._values.keep(number, long_values_of(result))
        for name, value in attributes_of(result, span).items():
            self._storage.set_trial_user_attr(self.trial_id(number), name, value)

    def tell(self, record: Record) -> None:
        """Finish the trial of a record: with its values, or as failed where it has none."""
        if record.evaluation is None or record.values is None:
            self._study.tell(record.trial, state=TrialState.FAIL)
            return
        violations = self._objectives.violations_by_key(record.evaluation, record.costs)
        keep_violations(self._storage, self.trial_id(record.trial), violations)
        self._study.tell(record.trial, list(record.values))

    def trial_id(self, number: int) -> int:
        """Return the storage's own name of a trial."""
        return int(self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number))
