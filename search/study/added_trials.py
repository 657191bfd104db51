"""Trials that somebody added to a study: solved configurations, recipes, configurations from files.

They are evaluated when they are asked for, beside the search. Samplers and promotion never see them, and they count for
no budget: what a search finds does not depend on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial

from palettune.evaluators.quality.evaluation import Failure, Workflow
from palettune.search.experiment.objectives import ObjectiveSet
from palettune.search.experiment.rungs.registry import EscalationSettings
from palettune.search.experiment.rungs.rung import Rung
from palettune.search.study.escalation import EscalationResult
from palettune.search.study.long_values import LongValues
from palettune.search.study.record import Record, Result
from palettune.search.study.record_codec import (
    ADDED,
    CONFIGURATION,
    ESCALATED_FROM,
    asked_escalation,
    attributes_of_escalation,
    escalation_of,
    record_of,
    record_of_escalation,
    result_of,
)
from palettune.search.study.trial_writer import TrialWriter
from palettune.space.configuration import Configuration
from palettune.space.search_space import SearchSpace, SearchSpaceError

__all__ = ["AddedTrials"]


_Span = tuple[float, float]


class AddedTrials:
    """The added trials of a study, each written when its result is there.

    A configuration outside the search space has no parameters, and stands in an attribute.

    Args:
        study: all trials; asked for no proposal.
        values: the long values of results, by trial.
        settings: of the rungs; escalations under other settings are left out.
    """

    def __init__(
        self,
        study: Study,
        storage: BaseStorage,
        values: LongValues,
        space: SearchSpace,
        settings: EscalationSettings,
        objectives: ObjectiveSet,
    ) -> None:
        self._study, self._values = study, values
        self._space, self._settings, self._objectives = space, settings, objectives
        self._writer = TrialWriter(study, storage, values, space, objectives)

    def add(
        self, origin: str, configuration: Configuration, result: Result, costs: Mapping[str, float], span: _Span
    ) -> Record:
        """Write a data-free evaluation; give its record.

        Args:
            origin: what asked for it, in words.
            costs: of the configuration, by name.
            span: when it began and ended, seconds since the epoch.
        """
        known = {"origin": origin, "workflow": Workflow.DATA_FREE, "configuration_hash": configuration.hash}
        return self._write(known | {"costs": dict(costs)}, configuration, result, span)

    def escalate(self, rung: Rung, source: Record, result: EscalationResult | Failure, span: _Span) -> Record:
        """Write an escalation; give its record.

        Args:
            source: what it was escalated from, with the configuration and the costs that it asked for.
        """
        asked = asked_escalation(rung, source)
        return self._write(attributes_of_escalation(asked), source.configuration, result, span)

    def records(self) -> list[tuple[float, Record]]:
        """Return every added trial with the moment of being added, by number."""
        trials = [trial for trial in self._study.get_trials(deepcopy=False) if ADDED in trial.user_attrs]
        finished = [trial for trial in trials if trial.state.is_finished()]  # one cut short is added again
        return [(_moment(trial), self._record(trial)) for trial in finished if self._counts(trial)]

    def _write(
        self, known: dict[str, Any], configuration: Configuration, result: Result | EscalationResult, span: _Span
    ) -> Record:
        parameters, attributes = self._parameters(configuration), known | {ADDED: True}
        if parameters is None:
            attributes[CONFIGURATION] = configuration.to_json()
        number = self._writer.begin(parameters or {}, attributes)  # RUNNING for the moment that it takes to write it
        self._writer.keep(number, result, span)
        self._writer.tell(self._read(number))
        return self._read(number)

    def _read(self, number: int) -> Record:
        return self._record(self._study.get_trials(deepcopy=False)[number])

    def _parameters(self, configuration: Configuration) -> dict[str, str] | None:
        try:
            return self._space.to_parameters(configuration)
        except SearchSpaceError:
            return None

    def _record(self, trial: FrozenTrial) -> Record:
        held = partial(self._values.of, trial.number)
        if ESCALATED_FROM in trial.user_attrs:
            record = record_of_escalation(escalation_of(trial, self._space, held), self._objectives)
        else:
            result = result_of(trial.user_attrs, held)
            assert result is None or isinstance(result, Result)
            record = record_of(trial, self._space, self._objectives, result)
        return record.as_added()

    def _counts(self, trial: FrozenTrial) -> bool:
        """Whether the present settings of its rung made it; always where it is no escalation."""
        if ESCALATED_FROM not in trial.user_attrs:
            return True
        rung = self._settings.rung(trial.user_attrs["rung"])
        return rung is not None and dict(rung.identity) == trial.user_attrs["settings"]


def _moment(trial: FrozenTrial) -> float:
    return trial.datetime_complete.timestamp() if trial.datetime_complete else 0.0
