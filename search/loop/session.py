"""A search session: prepare, compress, score, seed, loop, and leave everything on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from optuna.storages import BaseStorage

from palettune.device_bench.measurement.measurement import CoreMLBackend, Runtime
from palettune.evaluators.quality.evaluation import Evaluation
from palettune.evaluators.sensitivity.scores import Scores
from palettune.evaluators.workload.workload import Split, Workload
from palettune.search.display.artifacts import artifacts
from palettune.search.escalation.escalations import Escalations, check_escalation
from palettune.search.escalation.promotion import Promotion
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.folder_lock import hold
from palettune.search.experiment.recipes.recipe_file import Recipe, read_recipe
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.loop.added_columns import prepare_columns
from palettune.search.loop.added_evaluations import AddedEvaluations
from palettune.search.loop.new_study import create_study, problem_of
from palettune.search.loop.recipe_evaluations import recipe_evaluations
from palettune.search.loop.search import Search
from palettune.search.loop.trials import Trials
from palettune.search.loop.weights_and_scores import fill_bank, restore_scores
from palettune.search.on_device.device_measurements import DeviceMeasurements, MeasurementOrder
from palettune.search.preparation.as_searched import prepare_as_searched
from palettune.search.preparation.data_groups import data_groups
from palettune.search.preparation.driver_weights import say_calibration_minutes
from palettune.search.preparation.fp16_check import check_before_search
from palettune.search.preparation.preparation import Preparation
from palettune.search.proposing.samplers import SamplerSetting, sampler_factory
from palettune.search.results.ending import Ending
from palettune.search.results.escalation_gains import verdicts
from palettune.search.results.front import Front
from palettune.search.results.observer import Observers, SearchObserver
from palettune.search.results.search_history import SearchHistory
from palettune.search.review.review_observer import ReviewObserver
from palettune.search.study.study import SearchStudy, open_storage
from palettune.search.tracking.mlflow_observer import MlflowObserver
from palettune.search.tracking.tracking_store import absolute, reach_store
from palettune.search.workers.evaluations import Evaluations, SearchStopped, never
from palettune.search.workers.start import start_evaluations
from palettune.search.workers.worker_settings import worker_settings

__all__ = ["Places", "SearchOutcome", "history_of", "run_session", "search_record"]


@dataclass(frozen=True)
class Places:
    """Addresses of a search's state and workers; ``None`` means the run folder, or this machine.

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
    """Ending of a session, and its results.

    Attributes:
        confirmations: members measured on data that the search never saw, by the record's key.
        seconds: what the driver spent on trials, by errand.
    """

    ending: Ending
    front: Front
    folder: RunFolder
    confirmations: Mapping[str, Evaluation]
    seconds: Mapping[str, float] = field(default_factory=dict)


def run_session(
    experiment: Experiment,
    places: Places,
    observers: Sequence[SearchObserver] = (),
    *,
    stop: Callable[[], bool] = never,
    fresh: bool = False,
    runtime: Runtime = CoreMLBackend,
    promotion: Promotion | None = None,
    also: Sequence[Path] = (),
) -> SearchOutcome:
    """Run a search, or go on with it; what is already known is never computed again.

    Args:
        observers: hear what happens, besides MLflow.
        stop: asked several times a second while trials go on, and about once a second before; true ends the search, which
            can be gone on with.
        fresh: begin anew; an earlier search of this name is put aside.
        runtime: what talks to Core ML on a bench worker, should one join the cluster.
        promotion: decides what is escalated, and when; the product's own way unless another is given.
        also: files of recipes that are evaluated beside the search, besides those that the experiment names.

    Raises:
        SearchStopped: ``stop`` was true before the first trial.
        UserError: for anything the user can mend.
    """
    folder = RunFolder(places.root, experiment.name)
    heard = Observers(observers)
    recipes = [read_recipe(path) for path in dict.fromkeys((*experiment.compare.recipes, *also))]
    with hold(folder, heard.warn):
        with heard.stage("opening MLflow"):
            reach_store(folder, places.tracking_uri, heard.warn)
        record = search_record(folder, places, heard.warn)
        watching = Observers([record, *observers])
        return _run(experiment, folder, places, watching, stop, fresh, runtime, promotion, recipes)


def search_record(folder: RunFolder, places: Places, warn: Callable[[str], None]) -> SearchObserver:
    """Return the observers that write a search for its readers: the review page, then MLflow, which takes the page."""
    review = ReviewObserver(folder, warn, places.storage)
    mlflow = MlflowObserver(folder, places.tracking_uri, partial(_artifacts, folder), _rungs, warn, places.storage)
    return Observers([review, mlflow])


def _artifacts(folder: RunFolder, history: SearchHistory) -> Mapping[str, str | bytes]:
    """What MLflow is left: pictures, and the review page where it could be written."""
    page = {folder.review.name: folder.review.read_bytes()} if folder.review.exists() else {}
    return {**artifacts(history), **page}


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
    promotion: Promotion | None,
    recipes: Sequence[Recipe],
) -> SearchOutcome:
    storage = None if fresh else _storage(folder, places, observer)
    with observer.stage("checking the workload"):
        layers = None if storage is None else SearchStudy.searched_layers(storage, experiment.name)
        preparation = prepare_as_searched(experiment, layers)
        identity = preparation.identity()
        groups = data_groups(preparation)
        asked = recipe_evaluations(preparation, recipes, observer.warn)
    study = None if storage is None else SearchStudy.load(storage, experiment, identity)
    observer.on_prepared(preparation)
    check_escalation(preparation)
    say_calibration_minutes(preparation, observer)
    check_before_search(preparation, folder, identity, observer)
    if stop():
        raise SearchStopped
    evaluations = start_evaluations(preparation, folder, observer, inline=places.inline, ray_address=places.ray_address)
    try:
        if study is None:
            study = create_study(
                preparation, identity, folder, evaluations, observer, storage=places.storage, fresh=fresh, stop=stop
            )
        else:
            searched = replace(preparation, space=study.context.space)
            fill_bank(searched, folder, evaluations, observer, stop)
            restore_scores(searched, folder.scores / study.context.scores_file, evaluations, observer, stop)
        preparation = replace(preparation, space=study.context.space)  # of pruned menus, where they are
        study.keep_groups(groups)
        _remember_tracking(folder, places.tracking_uri, observer)
        configurations = [item.configuration for item in asked]
        prepare_columns(preparation, study.context, folder, evaluations, configurations, observer)
        history = history_of(preparation, study, folder)
        confirm = preparation.workload.offers(Split.CONFIRMATION.value)
        adding = AddedEvaluations(history, evaluations, preparation.costs, observer, confirm=confirm)
        trials = _trials(preparation, history, evaluations)
        ending = Search(
            history,
            evaluations,
            trials,
            escalations=_escalations(preparation, history, evaluations, observer, promotion),
            measurements=None if places.inline else _measurements(preparation, study, folder, observer, runtime),
            observer=observer,
            stop=stop,
            confirm=experiment.search.confirm if confirm else 0,
            beside=partial(adding.evaluate, asked, stop),
        ).run()
    finally:
        evaluations.stop()
    return SearchOutcome(ending, history.front, folder, history.confirmations, dict(trials.seconds))


def _storage(folder: RunFolder, places: Places, observer: SearchObserver) -> BaseStorage | None:
    """Where a study to go on with may be; ``None`` where there is none."""
    if places.storage is None and folder.mend_journal():
        observer.warn(f"{folder.journal}: its last line was written by half, and is cut off")
    if places.storage is None and not folder.journal.exists():
        return None
    return open_storage(folder, places.storage)


def _remember_tracking(folder: RunFolder, uri: str | None, observer: SearchObserver) -> None:
    before = folder.remembered_tracking_uri
    if before and not uri:
        observer.warn(
            f"this search was tracked by {before}; without --tracking-uri its record is in the run folder now"
        )
    folder.remember_tracking_uri(absolute(uri) if uri else None)


def history_of(preparation: Preparation, study: SearchStudy, folder: RunFolder) -> SearchHistory:
    """Load the history of a search from its study and the scores of its run folder."""
    experiment = preparation.experiment
    scores = Scores.load(folder.scores / study.context.scores_file)
    objectives = study.context.objectives(experiment)
    return SearchHistory(experiment, study, objectives, scores, preparation.latency)


def _trials(preparation: Preparation, history: SearchHistory, evaluations: Evaluations) -> Trials:
    scores = history.scores
    assert scores is not None
    setting = SamplerSetting(preparation.space, history.objectives, partial(problem_of, preparation, scores))
    sampler = sampler_factory(preparation.experiment.search.sampler, setting)
    screen = _screen(preparation.experiment, preparation.workload)
    return Trials(history, evaluations, sampler, preparation.costs, screen, preparation.space.size)


def _escalations(
    preparation: Preparation,
    history: SearchHistory,
    evaluations: Evaluations,
    observer: SearchObserver,
    promotion: Promotion | None,
) -> Escalations:
    study, objectives, trials = history.study, history.objectives, history.trials
    return Escalations(preparation, study, objectives, trials, evaluations, observer.warn, promotion)


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
