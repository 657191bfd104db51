"""Data-free trials of a study: asked for, kept, told in the order of their numbers, and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from palettune.evaluators.quality.evaluation import Failure, Screened
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.objectives import ObjectiveSet
from palettune.search.study.data_free_view import DataFreeView
from palettune.search.study.long_values import LongValues
from palettune.search.study.proposals import Proposals, SamplerFactory
from palettune.search.study.record import FirstTrial, Record, Result
from palettune.search.study.record_codec import keep_violations, record_of, result_of
from palettune.search.study.trial_writer import TrialWriter
from palettune.space.configuration import Configuration
from palettune.space.search_space import SearchSpace

__all__ = ["DataFreeTrials"]

_PLACE, _FORMER_PLACE = "first_trial", "seed"


class DataFreeTrials:
    """Trials that are evaluated without data, each proposed by a sampler or enqueued before the search.

    They are told in the order of their numbers and each proposal sees exactly those told before it, so that the same
    experiment gives the same trials whatever the number or the speed of the workers.

    Args:
        study: all trials.
        values: the long values of results, by trial.
    """

    def __init__(
        self,
        study: Study,
        storage: BaseStorage,
        values: LongValues,
        space: SearchSpace,
        experiment: Experiment,
        objectives: ObjectiveSet,
    ) -> None:
        self._study, self._storage, self._values, self._space = study, storage, values, space
        self._objectives = objectives
        self._view = DataFreeView(study.study_name, storage)
        self._writer = TrialWriter(study, storage, values, space, objectives)
        self._proposals = Proposals(self._view, space, experiment)

    def enqueue(self, first: Sequence[FirstTrial]) -> None:
        """Enqueue the first configurations; only those that an earlier, interrupted call has not."""
        known = [trial.user_attrs for trial in self._trials(deepcopy=False)]
        present = {attributes.get(_PLACE, attributes.get(_FORMER_PLACE)) for attributes in known}
        for index, trial in enumerate(first):
            if index not in present:
                parameters = self._space.to_parameters(trial.configuration)
                self._study.enqueue_trial(parameters, user_attrs={_PLACE: index, "origin": trial.origin})

    def ask(self, sampler: SamplerFactory) -> tuple[int, Configuration]:
        """Begin the next trial: a first one if one waits, else the sampler's proposal. Written as RUNNING."""
        place = sum(trial.state != TrialState.WAITING for trial in self._trials(deepcopy=False))
        return self._proposals.ask(place, sampler)

    def interrupted(self, sampler: SamplerFactory) -> list[tuple[int, Configuration, Result | None]]:
        """Return the trials begun and not told, by number, with what is already known of each."""
        found = []
        for place, trial in enumerate(self._trials()):
            if trial.state == TrialState.RUNNING:
                configuration = self._proposals.complete(self._writer.trial_id(trial.number), place, sampler)
                found.append((trial.number, configuration, self._result(trial)))
        return found

    def keep(self, number: int, result: Result, span: tuple[float, float]) -> None:
        """Write a result as soon as it exists, before its turn to be told comes."""
        self._writer.keep(number, result, span)

    def answer(self, number: int, source: int) -> None:
        """Mark a trial as answered from the record of an earlier one."""
        self._storage.set_trial_user_attr(self._writer.trial_id(number), "answered_from", source)

    def tell(self, number: int, result: Result, costs: Mapping[str, float], objectives: ObjectiveSet) -> Record:
        """Finish a trial; give its record, as it is read back from now on."""
        trial = self._writer.trial_id(number)
        self._storage.set_trial_user_attr(trial, "costs", dict(costs))
        if isinstance(result, Failure):
            self._view.tell(number, state=TrialState.FAIL)
        elif isinstance(result, Screened):
            self._view.tell(number, state=TrialState.PRUNED)
        else:
            keep_violations(self._storage, trial, objectives.violations_by_key(result, costs))
            self._view.tell(number, objectives.values(result, costs))
        return record_of(self._storage.get_trial(trial), self._space, objectives, result)

    def origin(self, number: int) -> str:
        """Return what proposed a trial."""
        return str(self._storage.get_trial(self._writer.trial_id(number)).user_attrs["origin"])

    def told(self) -> list[tuple[float, Record]]:
        """Return the finished records by number, each with the moment of being told."""
        found: list[tuple[float, Record]] = []
        results: dict[int, Result] = {}
        for trial in self._trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED)):
            result = self._result(trial) or results.get(trial.user_attrs.get("answered_from", -1))
            if result is not None:
                results[trial.number] = result
            moment = trial.datetime_complete.timestamp() if trial.datetime_complete else 0.0
            found.append((moment, record_of(trial, self._space, self._objectives, result)))
        return found

    def _result(self, trial: FrozenTrial) -> Result | None:
        found = result_of(trial.user_attrs, partial(self._values.of, trial.number))
        assert found is None or isinstance(found, Result)
        return found

    def _trials(self, deepcopy: bool = True, states: tuple[TrialState, ...] | None = None) -> list[FrozenTrial]:
        found: list[FrozenTrial] = self._view.get_trials(deepcopy=deepcopy, states=states)
        return found
