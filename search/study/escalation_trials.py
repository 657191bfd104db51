"""Escalations as trials of the study: decided, answered and told; and which of them the present settings made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from palettune.search.experiment.objectives import ObjectiveSet
from palettune.search.experiment.rungs.registry import EscalationSettings
from palettune.search.experiment.rungs.rung import Rung
from palettune.search.study.escalation import Escalation
from palettune.search.study.former_escalations import former_escalations
from palettune.search.study.long_values import LongValues
from palettune.search.study.record import Record
from palettune.search.study.record_codec import (
    ADDED,
    ESCALATED_FROM,
    asked_escalation,
    attributes_of_escalation,
    escalation_of,
    record_of_escalation,
)
from palettune.search.study.trial_writer import TrialWriter
from palettune.space.search_space import SearchSpace

__all__ = ["EscalationTrials"]

_FORMER_SETTINGS = "palettune_former_rung_settings"
_PASSED = "palettune_slots_passed"


class EscalationTrials:
    """The escalations of a study.

    An escalation whose rung had other settings than the experiment has now, or that began from such a one, is left
    out: it is no result of this experiment, and its place is decided anew. It stays in the study, with its settings.

    Args:
        study: all trials; asked for no proposal.
        values: the long values of results, by trial.
        data_free: gives the other records by trial, for what was escalated before escalations were trials.
    """

    def __init__(
        self,
        study: Study,
        storage: BaseStorage,
        values: LongValues,
        space: SearchSpace,
        settings: EscalationSettings,
        objectives: ObjectiveSet,
        data_free: Callable[[], Mapping[int, Record]],
    ) -> None:
        self._study, self._storage, self._values, self._space = study, storage, values, space
        self._settings, self._objectives = settings, objectives
        self._data_free = data_free
        self._writer = TrialWriter(study, storage, values, space, objectives)

    def decide(self, rung: Rung, source: Record) -> Escalation:
        """Begin an escalation: a trial that is RUNNING.

        Args:
            source: what it is escalated from, with the configuration and the costs that it asks for.
        """
        asked, parameters = asked_escalation(rung, source), self._space.to_parameters(source.configuration)
        return replace(asked, trial=self._writer.begin(parameters, attributes_of_escalation(asked)))

    def keep(self, escalation: Escalation) -> None:
        """Write a result as soon as it exists, before its turn to be told comes."""
        assert escalation.result is not None
        self._writer.keep(escalation.trial, escalation.result, escalation.span)

    def tell(self, escalation: Escalation) -> Record:
        """Finish the trial of an escalation that has its result."""
        record = self.record(escalation)
        if escalation.told_at is None:
            self._writer.tell(record)
        return record

    def pass_slot(self, rung: str) -> None:
        """Note that nothing could be escalated to a rung when its turn came, so that a resumed search passes it, too."""
        self._study.set_user_attr(_PASSED, {**self.passed_slots(), rung: self.passed_slots().get(rung, 0) + 1})

    def passed_slots(self) -> dict[str, int]:
        """Count the turns that have passed without an escalation, by rung."""
        return dict(self._study.user_attrs.get(_PASSED, {}))

    def give_up(self) -> None:
        """End the trials that were under way under other settings: nobody goes on with them."""
        present = {escalation.trial for escalation in self.present()}
        for escalation in self.all():
            if escalation.told_at is not None or escalation.trial in present:
                continue
            if escalation.result is not None:
                self.tell(escalation)
            else:
                reason = "begun under other settings, which were changed before it ended"
                self._storage.set_trial_user_attr(self._writer.trial_id(escalation.trial), "status_reason", reason)
                self._study.tell(escalation.trial, state=TrialState.FAIL)

    def all(self) -> list[Escalation]:
        """Return every escalation that the search decided, in that order."""
        settings = self._study.user_attrs.get(_FORMER_SETTINGS, {})
        former = [replace(e, settings=settings.get(e.rung)) for e in self._former()]
        trials = [t for t in self._study.get_trials(deepcopy=False) if _decided_here(t)]
        return [*former, *(escalation_of(t, self._space, partial(self._values.of, t.number)) for t in trials)]

    def present(self) -> list[Escalation]:
        """Return the escalations of the experiment's present settings, in the order in which they were decided."""
        escalations = self.all()
        numbers = {escalation.trial for escalation in escalations}
        found: dict[int, Escalation] = {}
        for escalation in escalations:
            given_up = escalation.told_at is not None and escalation.result is None
            begun = escalation.source in found or escalation.source not in numbers
            if begun and not given_up and not self._changes(escalation):
                found[escalation.trial] = escalation
        return list(found.values())

    def record(self, escalation: Escalation) -> Record:
        """Return the record of an escalation that has its result."""
        return record_of_escalation(escalation, self._objectives)

    def notes(self) -> tuple[str, ...]:
        """Say what is left out for its settings, a line for each rung and change."""
        changes = Counter((e.rung, self._changes(e)) for e in self.all() if e.result is not None)
        return tuple(
            f"{count} escalation(s) to {rung} are left out, since they were made with other settings ({changed}); "
            "`palettune search` makes them anew, and the former setting brings them back"
            for (rung, changed), count in changes.items()
            if changed
        )

    def adopt(self) -> None:
        """Take escalations from before settings were kept as made with the present ones, once and for all."""
        if self._former() and _FORMER_SETTINGS not in self._study.user_attrs:
            present = {rung.name: dict(rung.identity) for rung in self._settings.rungs}
            self._study.set_user_attr(_FORMER_SETTINGS, present)

    def _changes(self, escalation: Escalation) -> str:
        """How the settings of an escalation's rung have changed since, in words; empty where they have not."""
        rung = self._settings.rung(escalation.rung)
        if rung is None:
            return "no such rung now"
        was = escalation.settings
        if was is None or was == rung.identity:
            return ""
        names = dict.fromkeys((*was, *rung.identity))
        pairs = ((name, was.get(name), rung.identity.get(name)) for name in names)
        return ", ".join(f"{name} was {old}, is {new}" for name, old, new in pairs if old != new)

    def _former(self) -> list[Escalation]:
        return former_escalations(self._study.user_attrs, self._data_free)


def _decided_here(trial: FrozenTrial) -> bool:
    return ESCALATED_FROM in trial.user_attrs and ADDED not in trial.user_attrs
