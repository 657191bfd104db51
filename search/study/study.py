"""The study: Optuna's journal as the truth about every trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import make_url

from palettune.device_bench.measurement.measurement import Measurement
from palettune.evaluators.quality.evaluation import Evaluation, Failure, Screened, Workflow
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.objectives import ObjectiveSet
from palettune.search.experiment.run_folder import RunFolder, without_secrets
from palettune.search.proposing.samplers import CONSTRAINTS, make_sampler
from palettune.search.proposing.unseen_sampler import UnseenSampler
from palettune.search.study.escalation import Escalation, EscalationResult
from palettune.search.study.record import FirstTrial, Record, Result, asked_of
from palettune.search.study.study_context import StudyContext
from palettune.search.study.study_identity import FORMAT, StudyError, check_format, check_identity, check_workload
from palettune.space.configuration import Configuration

__all__ = ["SearchStudy", "StudyError", "open_storage"]

_CONFIRMATION = "confirmation:"
_MEASUREMENT = "measurement:"
_CLIMB = "climb:"
_IDENTITY = "palettune_identity"
_FORMAT = "palettune_format"
_CONTEXT = "palettune_context"
_WORKLOAD = "palettune_workload"
_COMPLETE = "palettune_created"


def open_storage(folder: RunFolder, url: str | None, *, read: bool = False) -> BaseStorage:
    """The journal file of a run folder, or a database by its URL.

    Args:
        read: refuse a database file that does not exist instead of making it.

    Raises:
        StudyError: naming what cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if url is None:
        try:
            return JournalStorage(JournalFileBackend(str(folder.journal)))
        except (ValueError, KeyError) as error:
            raise StudyError(
                f"{folder.journal}: the journal cannot be read ({error}); restore it from a copy, "
                "or start afresh with --fresh"
            ) from error
    try:
        file = make_url(url).database if url.startswith("sqlite") else None
        if read and file and not Path(file).exists():
            raise StudyError(f"--storage: {file}: there is no such database")
        return RDBStorage(url, heartbeat_interval=None)
    except StudyError:
        raise
    except Exception as error:  # of SQLAlchemy or of any driver below it
        raise StudyError(
            f"--storage: {without_secrets(url)} cannot be used ({type(error).__name__}: {_line(error)}); expected the URL "
            "of a database that answers, as postgresql://HOST/NAME, or leave it out: the journal is a file"
        ) from error


class SearchStudy:
    """Proposes configurations and keeps what became of them.

    Every transition is written to the storage before the next step, so that a killed search goes on from it.
    Trials are told in the order of their numbers and each proposal sees exactly the trials told before it, so that
    the same experiment gives the same trials whatever the number or the speed of the workers.

    Attributes:
        sampler: makes the sampler of one proposal from its seed; Optuna's own by name unless replaced.
        notes: what a reader of the study should know of its workload.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, storage: BaseStorage, experiment: Experiment, study: Study, context: StudyContext) -> None:
        self.context = context
        self._experiment = experiment
        self._space = context.space
        self._storage = storage
        self._study = study
        self.sampler: Callable[[int], BaseSampler] = self._stock
        self._constrained = bool(experiment.constraints.model_dump(exclude_defaults=True))
        self._distributions = {name: CategoricalDistribution(choices) for name, choices in self._space.choices.items()}

    def _stock(self, seed: int) -> BaseSampler:
        return make_sampler(self._experiment.search.sampler, seed, self._constrained)

    @classmethod
    def load(
        cls, storage: BaseStorage, experiment: Experiment, identity: Mapping[str, Any] | None = None
    ) -> SearchStudy | None:
        """The study already under this name; ``None`` where there is none, or one whose creation was cut short.

        Args:
            identity: what the search would be now, compared with what the study holds; without it, only the
                experiment's keys and the workload's path and text are compared, and what is noted is in ``notes``.

        Raises:
            StudyError: if the study was made by another format, or is of a different experiment or workload.
        """
        if experiment.name not in optuna.get_all_study_names(storage):
            return None
        study = optuna.load_study(study_name=experiment.name, storage=storage)
        if _COMPLETE not in study.user_attrs and _FORMAT not in study.user_attrs and not study.user_attrs:
            return None
        check_format(experiment.name, study.user_attrs.get(_FORMAT))
        held = study.user_attrs.get(_IDENTITY, {})
        check_identity(experiment.name, held, identity or held | {"experiment": experiment.identity()})
        if _COMPLETE not in study.user_attrs:
            return None
        found = cls(storage, experiment, study, StudyContext.from_json(study.user_attrs[_CONTEXT]))
        if identity is None:
            found.notes = experiment.notes + check_workload(experiment, held, study.user_attrs.get(_WORKLOAD))
        elif study.user_attrs.get(_WORKLOAD) != str(experiment.workload):
            study.set_user_attr(_WORKLOAD, str(experiment.workload))  # moved
        return found

    @classmethod
    def create(
        cls, storage: BaseStorage, experiment: Experiment, identity: Mapping[str, Any], context: StudyContext
    ) -> SearchStudy:
        """Create the study, or complete one whose creation was cut short."""
        directions = context.objectives(experiment).directions
        study = optuna.create_study(
            study_name=experiment.name, storage=storage, directions=directions, load_if_exists=True
        )
        study.set_user_attr(_FORMAT, FORMAT)
        study.set_user_attr(_IDENTITY, dict(identity))
        study.set_user_attr(_WORKLOAD, str(experiment.workload))
        study.set_user_attr(_CONTEXT, context.to_json())
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

    def enqueue(self, seeds: Sequence[FirstTrial]) -> None:
        """Enqueue the first configurations; only those that an earlier, interrupted call has not."""
        study = self._study
        present = {trial.user_attrs.get("seed") for trial in self._trials(deepcopy=False)}
        for index, seed in enumerate(seeds):
            if index not in present:
                parameters = self._space.to_parameters(seed.configuration)
                study.enqueue_trial(parameters, user_attrs={"seed": index, "origin": seed.origin})

    # -- the loop's view ----------------------------------------------------------------------------------------

    def ask(self) -> tuple[int, Configuration]:
        """The next trial: a seed if one waits, else the sampler's proposal. Written as RUNNING."""
        study = self._study
        number = sum(t.state != TrialState.WAITING for t in self._trials(deepcopy=False))
        study.sampler = self._unseen(number)
        trial = study.ask(self._distributions)
        return trial.number, self._describe(trial)

    def _unseen(self, number: int) -> BaseSampler:
        """The sampler of one proposal."""
        seed = self._experiment.seed * 100_003 + number
        return UnseenSampler(self.sampler(seed), self._distributions, seed)

    def running(self) -> list[tuple[int, Configuration, Result | None]]:
        """Trials begun and not told, by number, with what is already known of each; half-made ones are completed."""
        found = []
        for frozen in self._trials(states=(TrialState.RUNNING,)):
            study = self._study
            study.sampler = self._unseen(frozen.number)
            trial = Trial(study, frozen._trial_id)
            for name, distribution in self._distributions.items():
                if name not in frozen.params:  # the proposal is made anew as a whole, and is the same
                    trial._suggest(name, distribution)
            found.append((frozen.number, self._describe(trial), _result(frozen)))
        return sorted(found, key=lambda item: item[0])

    def keep(self, number: int, result: Result, span: tuple[float, float]) -> None:
        """Write a result as soon as it exists, before its turn to be told comes."""
        trial = self._trial_id(number)
        self._storage.set_trial_user_attr(trial, "span", list(span))
        if not isinstance(result, Evaluation):
            self._storage.set_trial_user_attr(trial, "status_reason", str(result))
        if isinstance(result, Screened):
            self._storage.set_trial_user_attr(trial, "screened", asdict(result))
        elif isinstance(result, Failure):
            self._storage.set_trial_user_attr(
                trial, "failure", {"stage": result.stage.value, "reason": result.reason, "layer": result.layer}
            )
        else:
            self._storage.set_trial_user_attr(trial, "evaluation", result.to_json())

    def answer(self, number: int, source: int) -> None:
        """Mark a trial as answered from the record of an earlier one."""
        self._storage.set_trial_user_attr(self._trial_id(number), "answered_from", source)

    def tell(self, number: int, result: Result, costs: Mapping[str, float], objectives: ObjectiveSet) -> None:
        """Finish a trial."""
        trial = self._trial_id(number)
        self._storage.set_trial_user_attr(trial, "costs", dict(costs))
        if isinstance(result, Failure):
            self._study.tell(number, state=TrialState.FAIL)
            return
        if isinstance(result, Screened):
            self._study.tell(number, state=TrialState.PRUNED)
            return
        if self._constrained:
            self._storage.set_trial_user_attr(trial, CONSTRAINTS, objectives.violations(result, costs))
        self._study.tell(number, objectives.values(result, costs))

    def origin(self, number: int) -> str:
        """What proposed a trial."""
        return str(self._storage.get_trial(self._trial_id(number)).user_attrs["origin"])

    # -- reading ------------------------------------------------------------------------------------------------

    def records(self) -> list[Record]:
        """Every finished trial, by number."""
        records: dict[int, Record] = {}
        for trial in self._trials(states=(TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED)):
            record = self._record(trial)
            if record.answered_from is not None and record.answered_from in records:
                source = records[record.answered_from]
                record = replace(record, evaluation=source.evaluation, failure=source.failure, screened=source.screened)
            records[record.trial] = record
        return list(records.values())

    def confirm(self, key: str, evaluation: Evaluation) -> None:
        """Keep what a record's configuration, or climb, gave on the confirmation data."""
        self._study.set_user_attr(_CONFIRMATION + key, evaluation.to_json())

    def confirmations(self) -> dict[str, Evaluation]:
        """Evaluations on the confirmation data, by the record's key."""
        return {
            key.removeprefix(_CONFIRMATION): Evaluation.from_json(value)
            for key, value in self._study.user_attrs.items()
            if key.startswith(_CONFIRMATION)
        }

    def keep_measurement(self, configuration_hash: str, measurement: Measurement) -> None:
        """Keep the latency of a configuration, as measured on the experiment's device and compute unit."""
        self._study.set_user_attr(_MEASUREMENT + configuration_hash, measurement.to_json())

    def measurements(self) -> dict[str, Measurement]:
        """Measured latencies, by configuration hash."""
        return {
            key.removeprefix(_MEASUREMENT): Measurement.from_json(value)
            for key, value in self._study.user_attrs.items()
            if key.startswith(_MEASUREMENT)
        }

    def keep_escalation(self, climb: Escalation) -> None:
        """Write a climb down, when it is decided and again when it is finished."""
        self._study.set_user_attr(f"{_CLIMB}{climb.number}", climb.to_json())

    def escalations(self) -> list[Escalation]:
        """Every climb decided so far, in order."""
        found = [
            Escalation.from_json(int(key.removeprefix(_CLIMB)), value)
            for key, value in self._study.user_attrs.items()
            if key.startswith(_CLIMB)
        ]
        return sorted(found, key=lambda climb: climb.number)

    def escalation_record(self, climb: Escalation, source: Record) -> Record:
        """A finished climb as a record beside those of trials."""
        source = asked_of(climb, source)
        objectives = self.context.objectives(self._experiment)
        climbed = climb.result if isinstance(climb.result, EscalationResult) else None
        if climbed is not None and climbed.added_bytes:
            source = replace(source, costs=climbed.costs(source.costs))
        evaluation = climbed.evaluation if climbed else None
        return Record(
            trial=climb.trial,
            origin=f"climbed from {source.trial}",
            configuration=source.configuration,
            workflow=climb.workflow,
            values=tuple(objectives.values(evaluation, source.costs)) if evaluation else None,
            costs=source.costs,
            evaluation=evaluation,
            feasible=evaluation is not None and all(v <= 0 for v in objectives.violations(evaluation, source.costs)),
            answered_from=None,
            failure=climb.result if isinstance(climb.result, Failure) else None,
            span=climb.span,
            escalated_from=source.trial,
            state=climbed.state if climbed else None,
            gains=climbed.gains if climbed else (),
        )

    def evaluations(self) -> list[Record]:
        """Every finished trial, then every finished climb."""
        records = self.records()
        return [*records, *self.finished_escalations(records)]

    def finished_escalations(self, records: Sequence[Record]) -> list[Record]:
        """Every finished climb, given the finished trials."""
        by_trial = {record.trial: record for record in records}
        found = []
        for climb in self.escalations():
            if climb.result is not None and climb.source in by_trial:
                by_trial[climb.trial] = self.escalation_record(climb, by_trial[climb.source])
                found.append(by_trial[climb.trial])
        return found

    def _trials(self, deepcopy: bool = True, states: tuple[TrialState, ...] | None = None) -> list[FrozenTrial]:
        found: list[FrozenTrial] = self._study.get_trials(deepcopy=deepcopy, states=states)
        return found

    def _trial_id(self, number: int) -> int:
        return int(self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number))

    def _describe(self, trial: Trial) -> Configuration:
        configuration = self._space.from_parameters(dict(trial.params))
        known = trial.user_attrs
        for key, value in (
            ("origin", self._experiment.search.sampler),
            ("workflow", Workflow.DATA_FREE.value),
            ("configuration_hash", configuration.hash),
        ):
            if key not in known:
                trial.set_user_attr(key, value)
        return configuration

    def _record(self, trial: FrozenTrial) -> Record:
        attributes = trial.user_attrs
        result = _result(trial)
        begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
        ended = trial.datetime_complete.timestamp() if trial.datetime_complete else begun
        return Record(
            trial=trial.number,
            origin=attributes["origin"],
            configuration=self._space.from_parameters(trial.params),
            workflow=Workflow(attributes["workflow"]),
            values=tuple(trial.values) if trial.state == TrialState.COMPLETE else None,
            costs=attributes.get("costs", {}),
            evaluation=result if isinstance(result, Evaluation) else None,
            feasible=all(value <= 0 for value in attributes.get(CONSTRAINTS, [])),
            answered_from=attributes.get("answered_from"),
            failure=result if isinstance(result, Failure) else None,
            screened=result if isinstance(result, Screened) else None,
            span=tuple(attributes.get("span", (begun, ended))),
        )


def _result(trial: FrozenTrial) -> Result | None:
    if "screened" in trial.user_attrs:
        return Screened(**trial.user_attrs["screened"])
    if "evaluation" in trial.user_attrs:
        return Evaluation.from_json(trial.user_attrs["evaluation"])
    if "failure" in trial.user_attrs:
        return Failure.from_json(trial.user_attrs["failure"])
    return None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
