"""The study: Optuna's journal as the truth about every trial."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import count
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage
from optuna.study import Study

from palettune.device_bench.measurement.measurement import Measurement
from palettune.evaluators.quality.evaluation import Evaluation
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.objectives import ObjectiveSet
from palettune.search.study.added_trials import AddedTrials
from palettune.search.study.data_free_trials import DataFreeTrials
from palettune.search.study.escalation_trials import EscalationTrials
from palettune.search.study.long_values import LongValues
from palettune.search.study.record import Record
from palettune.search.study.side_tables import CONFIRMATION_DATA, EVALUATION_DATA, SideTables
from palettune.search.study.storage import open_storage
from palettune.search.study.study_context import StudyContext
from palettune.search.study.study_identity import FORMAT, StudyError, check_format, check_identity, check_workload

__all__ = ["SearchStudy", "StudyError", "open_storage"]

_IDENTITY = "palettune_identity"
_FORMAT = "palettune_format"
_CONTEXT = "palettune_context"
_WORKLOAD = "palettune_workload"
_COMPLETE = "palettune_created"


class SearchStudy:
    """Study of one search: its trials by how they come about, their records together, and what is known beside them.

    Every transition is written to the storage before the next step, so that a killed search goes on from it.
    Escalations and added trials are trials of the same study that samplers never see.

    Attributes:
        data_free: the trials that are evaluated without data.
        escalations: the trials that are evaluations under a dearer workflow.
        added: trials that were added to what the search decides itself.
        notes: what a reader of the study should know of its workload.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, storage: BaseStorage, experiment: Experiment, study: Study, context: StudyContext) -> None:
        self.context = context
        self._experiment = experiment
        self._space = context.space
        self._storage = storage
        self._study = study
        self._values = LongValues(storage, storage.get_study_id_from_name(study.study_name))
        self._tables = SideTables(study, self._values)
        self.data_free = DataFreeTrials(study, storage, self._values, self._space, experiment, self.objectives)
        self.escalations = EscalationTrials(
            study,
            storage,
            self._values,
            self._space,
            experiment.escalation,
            self.objectives,
            lambda: {record.trial: record for record in self.records()},
        )
        self.added = AddedTrials(study, storage, self._values, self._space, experiment.escalation, self.objectives)

    @cached_property
    def objectives(self) -> ObjectiveSet:
        """The experiment's objectives on this model's scale."""
        return self.context.objectives(self._experiment)

    @classmethod
    def load(
        cls, storage: BaseStorage, experiment: Experiment, identity: Mapping[str, Any] | None = None
    ) -> SearchStudy | None:
        """Load the study of an experiment's name; ``None`` where there is none, or its creation was cut short.

        Args:
            identity: what the search would be now, compared with what the study holds; without it, only the
                experiment's keys and the workload's path and text are compared, and what is noted is in ``notes``.

        Raises:
            StudyError: if the study was made by another format, or is of a different experiment or workload.
        """
        if experiment.name not in optuna.get_all_study_names(storage):
            return None
        study = optuna.load_study(study_name=experiment.name, storage=storage, sampler=RandomSampler())
        if _COMPLETE not in study.user_attrs and _FORMAT not in study.user_attrs and not study.user_attrs:
            return None
        check_format(experiment.name, study.user_attrs.get(_FORMAT))
        held = study.user_attrs.get(_IDENTITY, {})
        check_identity(experiment.name, held, identity or held | {"experiment": experiment.identity()})
        if _COMPLETE not in study.user_attrs:
            return None
        found = cls(storage, experiment, study, StudyContext.from_json(_context_of(storage, study)))
        if identity is None:
            noted = check_workload(experiment, held, study.user_attrs.get(_WORKLOAD))
            found.notes = (*experiment.notes, *noted, *found.escalations.notes())
            return found
        found.escalations.adopt()
        if study.metric_names is None:  # studies from before objectives were named
            _name_objectives(study, found.objectives)
        if study.user_attrs.get(_WORKLOAD) != str(experiment.workload):
            study.set_user_attr(_WORKLOAD, str(experiment.workload))  # moved
        return found

    @staticmethod
    def searched_layers(storage: BaseStorage, name: str) -> dict[str, bool] | None:
        """Return the names of the layers of the study under a name; ``None`` where there is no study yet.

        Each with whether a normalization takes back its scales."""
        if name not in optuna.get_all_study_names(storage):
            return None
        held = _context_of(storage, optuna.load_study(study_name=name, storage=storage, sampler=RandomSampler()))
        return {item["name"]: bool(item.get("normalization")) for item in held.get("layers", ())} if held else None

    @classmethod
    def create(
        cls, storage: BaseStorage, experiment: Experiment, identity: Mapping[str, Any], context: StudyContext
    ) -> SearchStudy:
        """Create the study, or complete one whose creation was cut short."""
        objectives = context.objectives(experiment)
        study = optuna.create_study(
            study_name=experiment.name,
            storage=storage,
            sampler=RandomSampler(),
            directions=objectives.directions,
            load_if_exists=True,
        )
        _name_objectives(study, objectives)
        study.set_user_attr(_FORMAT, FORMAT)
        study.set_user_attr(_IDENTITY, dict(identity))
        study.set_user_attr(_WORKLOAD, str(experiment.workload))
        storage.set_study_system_attr(storage.get_study_id_from_name(study.study_name), _CONTEXT, context.to_json())
        study.set_user_attr(_COMPLETE, True)
        return cls(storage, experiment, study, context)

    def check(self, identity: Mapping[str, Any]) -> None:
        """Refuse a model, data or experiment that is not the one searched.

        Raises:
            StudyError: saying what changed.
        """
        check_identity(self._experiment.name, self._study.user_attrs.get(_IDENTITY, {}), identity)

    @staticmethod
    def set_aside(storage: BaseStorage, name: str) -> None:
        """Put the study of this name aside, under the first free number, if there is one."""
        names = optuna.get_all_study_names(storage)
        if name not in names:
            return
        aside = next(free for number in count(1) if (free := f"{name} (aside {number})") not in names)
        optuna.copy_study(from_study_name=name, from_storage=storage, to_storage=storage, to_study_name=aside)
        optuna.delete_study(study_name=name, storage=storage)

    def records(self) -> list[Record]:
        """Return every finished data-free trial, by number."""
        return self._grouped([record for _, record in self.data_free.told()])

    def evaluations(self) -> list[Record]:
        """Return every finished trial, present escalation and added trial, in the order of being told."""
        escalations = self.escalations.present()
        told = [(e.told_at, self.escalations.record(e)) for e in escalations if e.told_at is not None]
        told += self.added.records()
        return self._grouped(
            [record for _, record in sorted([*self.data_free.told(), *told], key=lambda pair: pair[0])]
        )

    def confirm(self, key: str, evaluation: Evaluation) -> None:
        """Keep what the model of a record gave on the confirmation data, by the record's key."""
        self._tables.confirm(key, evaluation)

    def confirmations(self) -> dict[str, Evaluation]:
        """Return the evaluations on the confirmation data, by the record's key."""
        groups = self._tables.groups().get(CONFIRMATION_DATA, ())
        return {key: found.grouped(groups) for key, found in self._tables.confirmations().items()}

    def keep_groups(self, groups: Mapping[str, Sequence[int]]) -> None:
        """Keep which samples come from one source: group numbers by the name of the data's function."""
        self._tables.keep_groups(groups)

    def _grouped(self, records: list[Record]) -> list[Record]:
        groups = self._tables.groups().get(EVALUATION_DATA)
        return [record.grouped(groups) for record in records] if groups else records

    def keep_recipe(self, name: str, trial: int) -> None:
        """Keep which trial evaluated a recipe."""
        self._tables.keep_recipe(name, trial)

    def recipes(self) -> dict[str, int]:
        """Return the trial of each recipe, by its name."""
        return self._tables.recipes()

    def keep_measurement(self, configuration_hash: str, measurement: Measurement) -> None:
        """Keep the latency of a configuration, as measured on the experiment's device and compute unit."""
        self._tables.keep_measurement(configuration_hash, measurement)

    def measurements(self) -> dict[str, Measurement]:
        """Return the measured latencies, by configuration hash."""
        return self._tables.measurements()


def _context_of(storage: BaseStorage, study: Study) -> Mapping[str, Any]:
    """The context as plain values; empty where there is none. It holds every layer and menu: no user attribute."""
    held = storage.get_study_system_attrs(storage.get_study_id_from_name(study.study_name))
    found: Mapping[str, Any] = held.get(_CONTEXT) or study.user_attrs.get(_CONTEXT, {})  # as studies once held it
    return found


def _name_objectives(study: Study, objectives: ObjectiveSet) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names([objective.name for objective in objectives.objectives])
