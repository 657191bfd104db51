"""A search session: prepare, compress, score, seed, loop, and leave everything on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from palettune.device_bench.measurement.measurement import CoreMLBackend, Runtime
from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.evaluators.sensitivity.scores import Scores
from palettune.evaluators.workload.workload import Split, Workload
from palettune.search.display.artifacts import artifacts
from palettune.search.escalation.escalation_gains import verdicts
from palettune.search.escalation.escalations import Escalations, check_escalation
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.folder_lock import hold
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.loop.search import Search, never
from palettune.search.loop.trials import Trials
from palettune.search.loop.weights_and_scores import fill_bank, score_layers
from palettune.search.on_device.device_measurements import DeviceMeasurements, MeasurementOrder
from palettune.search.preparation.driver_weights import prune, say_calibration_minutes
from palettune.search.preparation.fp16_check import check_before_search
from palettune.search.preparation.preparation import Preparation, prepare
from palettune.search.proposing.first_trials import first_trials, problem_of
from palettune.search.proposing.samplers import SamplerSetting, sampler_factory
from palettune.search.results.ending import Ending
from palettune.search.results.front import Front
from palettune.search.results.observer import Observers, SearchObserver
from palettune.search.results.search_history import SearchHistory
from palettune.search.study.study import SearchStudy, open_storage
from palettune.search.study.study_context import StudyContext
from palettune.search.tracking.mlflow_observer import MlflowObserver
from palettune.search.tracking.tracking_store import absolute, reach
from palettune.search.workers.evaluations import Evaluations
from palettune.search.workers.evaluations_by_workflow import EvaluationsByWorkflow
from palettune.search.workers.inline_evaluations import InlineEvaluations
from palettune.search.workers.ray_evaluations import RayEvaluations, connect
from palettune.search.workers.requests import Describe
from palettune.search.workers.worker_settings import worker_settings

__all__ = ["Places", "SearchOutcome", "run_search"]


@dataclass(frozen=True)
class Places:
    """Where state lives and work is done; ``None`` means the run folder, or this machine.

    Attributes:
        inline: evaluate in this process, one call after another, without Ray.
    """

    root: Path
    storage: str | None = None
    tracking_uri: str | None = None
    ray_address: str | None = None
    inline: bool = False


@dataclass(frozen=True)
class SearchOutcome:
    """How a session ended, and what was found by then.

    Attributes:
        confirmations: members measured on data that the search never saw, by the record's key.
        seconds: what the driver spent on trials, by errand.
    """

    ending: Ending
    front: Front
    folder: RunFolder
    confirmations: Mapping[str, Evaluation]
    seconds: Mapping[str, float] = field(default_factory=dict)


def run_search(
    experiment: Experiment,
    places: Places,
    observers: Sequence[SearchObserver] = (),
    *,
    stop: Callable[[], bool] = never,
    fresh: bool = False,
    runtime: Runtime = CoreMLBackend,
) -> SearchOutcome:
    """Run a search, or go on with it; what is already known is never computed again.

    Args:
        observers: hear what happens, besides MLflow.
        stop: asked several times a second, once trials go on; true ends the search, which can be gone on with.
        fresh: begin anew; an earlier search of this name is put aside.
        runtime: what talks to Core ML on a bench worker, should one join the cluster.

    Raises:
        UserError: for anything the user can mend.
    """
    folder = RunFolder(places.root, experiment.name)
    heard = Observers(observers)
    with hold(folder, heard.warn):
        with heard.stage("opening MLflow"):
            reach(folder, places.tracking_uri, heard.warn)
        mlflow = MlflowObserver(folder, places.tracking_uri, artifacts, _rungs, heard.warn)
        return _run(experiment, folder, places, Observers([mlflow, *observers]), stop, fresh, runtime)


def _rungs(history: SearchHistory) -> Mapping[str, Mapping[str, float]]:
    return verdicts(history.trials, history.escalations, history.objectives)


def _run(
    experiment: Experiment,
    folder: RunFolder,
    places: Places,
    observer: SearchObserver,
    stop: Callable[[], bool],
    fresh: bool,
    runtime: Runtime,
) -> SearchOutcome:
    with observer.stage("checking the workload"):
        preparation = prepare(experiment)
        identity = preparation.identity()
    study = None if fresh else _study(experiment, folder, places, identity, observer)
    observer.on_prepared(preparation)
    check_escalation(preparation)
    say_calibration_minutes(preparation, observer)
    check_before_search(preparation, folder, identity, observer)
    evaluations = _start_evaluations(preparation, folder, places, observer)
    try:
        if study is not None:
            preparation = replace(preparation, space=study.context.space)
            fill_bank(preparation, folder, evaluations, observer)
        else:
            study = _create(preparation, identity, folder, places, evaluations, observer, fresh)
            preparation = replace(preparation, space=study.context.space)
        _remember_tracking(folder, places.tracking_uri, observer)
        history = _history(preparation, study, folder)
        trials = _trials(preparation, history, evaluations)
        search = Search(
            history,
            evaluations,
            trials,
            escalations=Escalations(preparation, study, history.objectives, history.trials, evaluations, observer.warn),
            measurements=None if places.inline else _measurements(preparation, study, folder, observer, runtime),
            observer=observer,
            stop=stop,
            confirm=experiment.search.confirm if preparation.workload.offers(Split.CONFIRMATION.value) else 0,
        )
        ending = search.run()
    finally:
        evaluations.stop()
    return SearchOutcome(ending, history.front, folder, history.confirmations, dict(trials.seconds))


def _study(
    experiment: Experiment, folder: RunFolder, places: Places, identity: dict[str, Any], observer: SearchObserver
) -> SearchStudy | None:
    """The study to go on with, if there is one."""
    if places.storage is None and folder.mend_journal():
        observer.warn(f"{folder.journal}: its last line was written by half, and is cut off")
    if places.storage is None and not folder.journal.exists():
        return None
    return SearchStudy.load(open_storage(folder, places.storage), experiment, identity)


def _start_evaluations(
    preparation: Preparation, folder: RunFolder, places: Places, observer: SearchObserver
) -> Evaluations:
    """Workers for each workflow: those of the data-free one unless the experiment gives a workflow its own."""
    experiment = preparation.experiment
    if places.inline:
        with observer.stage("loading the workload"):
            return InlineEvaluations(worker_settings(preparation, folder, experiment.needs))
    own = {w: n for w, n in experiment.resources.items() if experiment.escalation.counts.get(w)}
    wanted = {w: needs.model_copy(update={"workers": needs.workers or 1}) for w, needs in own.items()}
    parts: dict[Workflow, RayEvaluations] = {}
    with observer.stage("starting Ray"):
        connect(places.ray_address)
        for workflow, needs in [*wanted.items(), (Workflow.DATA_FREE, experiment.needs)]:
            reserved = sum(n.cpus * (n.workers or 1) for w, n in wanted.items() if w is not workflow)
            settings = worker_settings(preparation, folder, needs)
            parts[workflow] = RayEvaluations(settings, needs, workflow.value, on_lost=observer.warn)
            parts[workflow].start(reserved)
    return EvaluationsByWorkflow(parts)


def _create(
    preparation: Preparation,
    identity: dict[str, Any],
    folder: RunFolder,
    places: Places,
    evaluations: Evaluations,
    observer: SearchObserver,
    fresh: bool,
) -> SearchStudy:
    experiment = preparation.experiment
    fill_bank(preparation, folder, evaluations, observer)
    if experiment.space.prune:
        preparation = prune(preparation, folder, observer)
    with observer.stage("running the float model"):
        facts = evaluations.result(Describe())
    scores, file = score_layers(preparation, identity, folder, evaluations, facts.energy, observer)
    space = preparation.space
    context = StudyContext(
        search_id=StudyContext.new_id(),
        kind=preparation.kind,
        chance=facts.chance,
        float_metrics=facts.metrics,
        float_costs=preparation.costs(space.uniform(experiment.space.parsed[0])),
        rest_bytes=preparation.rest,
        scores_file=file,
        space=space,
        ops=preparation.latency.ops if preparation.latency is not None else None,
    )
    first = first_trials(preparation, scores, context.objectives(experiment))
    if fresh and places.storage is None:  # only now that nothing can refuse the new search
        folder.set_aside()
    storage = open_storage(folder, places.storage)
    if fresh:
        SearchStudy.set_aside(storage, experiment.name)
    study = SearchStudy.create(storage, experiment, identity, context)
    study.enqueue(first)
    return study


def _remember_tracking(folder: RunFolder, uri: str | None, observer: SearchObserver) -> None:
    before = folder.remembered_tracking_uri
    if before and not uri:
        observer.warn(
            f"this search was tracked by {before}; without --tracking-uri its record is in the run folder now"
        )
    folder.remember_tracking_uri(absolute(uri) if uri else None)


def _history(preparation: Preparation, study: SearchStudy, folder: RunFolder) -> SearchHistory:
    experiment = preparation.experiment
    scores = Scores.load(folder.scores / study.context.scores_file)
    objectives = study.context.objectives(experiment)
    return SearchHistory(experiment, study, objectives, scores, preparation.latency)


def _trials(preparation: Preparation, history: SearchHistory, evaluations: Evaluations) -> Trials:
    scores = history.scores
    assert scores is not None
    setting = SamplerSetting(preparation.space, history.objectives, lambda: problem_of(preparation, scores))
    sampler = sampler_factory(preparation.experiment.search.sampler, setting)
    screen = _screen(preparation.experiment, preparation.workload)
    return Trials(history, evaluations, sampler, preparation.costs, screen, preparation.space.size)


def _measurements(
    preparation: Preparation, study: SearchStudy, folder: RunFolder, observer: SearchObserver, runtime: Runtime
) -> DeviceMeasurements | None:
    """What has the promising configurations measured on the device; ``None`` where there is none."""
    model, experiment = preparation.latency, preparation.experiment
    if model is None or not experiment.measure.members:
        return None
    chip, unit = model.device.chip.name, model.setting.value
    order = MeasurementOrder(chip, unit, experiment.deployment_target, experiment.measure, runtime)
    return DeviceMeasurements(study, order, worker_settings(preparation, folder, experiment.needs), observer)


def _screen(experiment: Experiment, workload: Workload) -> int:
    """Samples of the first look at a configuration: a quarter of the evaluation data; none where those are few."""
    axes = workload.sampling.axes
    count = sum(axes.count(batch.inputs) or 1 for batch in workload.batches(Split.EVALUATION))
    divergence = experiment.objectives.quality == "divergence"
    return count // 4 if experiment.search.screen and divergence and count >= 64 else 0
