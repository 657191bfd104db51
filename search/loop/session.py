"""A search session: prepare, compress, score, seed, loop, and leave everything on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from palettune.device_bench.measurement.measurement import CoreMLBackend, Measurement, Runtime
from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.evaluators.sensitivity.scores import Scores
from palettune.evaluators.workload.workload import Split, Workload
from palettune.search.display.artifacts import artifacts
from palettune.search.escalation.escalations import Escalations, check_escalation
from palettune.search.escalation.promotion import verdicts
from palettune.search.experiment.experiment import Experiment, Needs
from palettune.search.experiment.folder_lock import hold
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.loop.loop import Loop
from palettune.search.on_device.device_measurements import Measuring, Order
from palettune.search.preparation.fp16_check import check_before_search
from palettune.search.preparation.preparation import Preparation, prepare
from palettune.search.preparation.weights_and_scores import (
    call,
    fill_bank,
    prune,
    say_calibration_minutes,
    score_layers,
)
from palettune.search.proposing.first_trials import guided_sampler, seeds
from palettune.search.results.confirmation import confirm_members
from palettune.search.results.ending import Ending
from palettune.search.results.front import Front
from palettune.search.results.observer import Observers, SearchObserver
from palettune.search.results.search_history import SearchHistory
from palettune.search.study.record import Record
from palettune.search.study.study import SearchStudy, open_storage
from palettune.search.study.study_context import StudyContext
from palettune.search.tracking.mlflow_observer import MlflowObserver
from palettune.search.tracking.tracking_store import absolute, reach
from palettune.search.workers.inline_pool import InlinePool
from palettune.search.workers.worker_pool import WorkerPool, WorkerSettings, connect

__all__ = ["Places", "SearchOutcome", "never", "run_search", "worker_settings"]


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
    """How a session ended, the front by then, and what of it was confirmed (by the record's key)."""

    ending: Ending
    front: Front
    folder: RunFolder
    confirmations: Mapping[str, Evaluation]


def never() -> bool:
    """Nobody asks for an early end."""
    return False


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
    pools = _start_pools(preparation, folder, places, observer)
    pool = pools[Workflow.DATA_FREE]
    try:
        if study is not None:
            preparation = replace(preparation, space=study.context.space)
            fill_bank(preparation, folder, pool, observer)
        else:
            study = _create(preparation, identity, folder, places, pool, observer, fresh)
            preparation = replace(preparation, space=study.context.space)
        return _loop(preparation, study, folder, places, pools, observer, stop, runtime)
    finally:
        for some in dict.fromkeys(pools.values()):  # workflows may share one
            some.stop()


def _study(
    experiment: Experiment, folder: RunFolder, places: Places, identity: dict[str, Any], observer: SearchObserver
) -> SearchStudy | None:
    """The study to go on with, if there is one."""
    if places.storage is None and folder.mend_journal():
        observer.warn(f"{folder.journal}: its last line was written by half, and is cut off")
    if places.storage is None and not folder.journal.exists():
        return None
    return SearchStudy.load(open_storage(folder, places.storage), experiment, identity)


def _start_pools(
    preparation: Preparation, folder: RunFolder, places: Places, observer: SearchObserver
) -> dict[Workflow, WorkerPool]:
    """The workers of each workflow: those of the data-free one unless the experiment gives a workflow its own."""
    experiment = preparation.experiment
    own = {w: n for w, n in experiment.resources.items() if experiment.escalation.counts.get(w)}
    wanted = {w: needs.model_copy(update={"workers": needs.workers or 1}) for w, needs in own.items()}
    pools: dict[Workflow, WorkerPool] = {}
    kind = InlinePool if places.inline else WorkerPool
    with observer.stage("loading the workload" if places.inline else "starting Ray"):
        if not places.inline:
            connect(places.ray_address)
        for workflow, needs in [*wanted.items(), (Workflow.DATA_FREE, experiment.needs)]:
            reserved = sum(n.cpus * (n.workers or 1) for w, n in wanted.items() if w is not workflow)
            pool = kind(worker_settings(preparation, folder, needs), needs, workflow.value, on_lost=observer.warn)
            pool.start(reserved)
            pools[workflow] = pool
    return {workflow: pools.get(workflow, pools[Workflow.DATA_FREE]) for workflow in Workflow}


def worker_settings(preparation: Preparation, folder: RunFolder, needs: Needs) -> WorkerSettings:
    """What a worker of one run is told, wherever it runs."""
    experiment = preparation.experiment
    return WorkerSettings(
        workload=experiment.workload,
        layers=tuple(layer.name for layer in preparation.layers),
        kind=preparation.kind,
        seed=experiment.seed,
        bank=folder.bank.resolve(),
        other_banks=tuple(path.resolve() for path in folder.other_banks),
        threads=max(1, int(needs.cpus)),
        states=folder.states.resolve(),
        checkpoints=folder.checkpoints.resolve(),
        escalation=experiment.escalation,
        float32=experiment.space.float32,
        float32_layers=tuple(sorted(preparation.base.float32)),
        data=experiment.data.options,
    )


def _create(
    preparation: Preparation,
    identity: dict[str, Any],
    folder: RunFolder,
    places: Places,
    pool: WorkerPool,
    observer: SearchObserver,
    fresh: bool,
) -> SearchStudy:
    experiment = preparation.experiment
    fill_bank(preparation, folder, pool, observer)
    if experiment.space.prune:
        preparation = prune(preparation, folder, observer)
    with observer.stage("running the float model"):
        facts = call(pool, "describe")
    scores, file = score_layers(preparation, identity, folder, pool, facts["energy"], observer)
    space = preparation.space
    context = StudyContext(
        search_id=StudyContext.new_id(),
        kind=preparation.kind,
        chance=facts["chance"],
        float_metrics=facts["float_metrics"],
        float_costs=preparation.costs(space.uniform(experiment.space.parsed[0])),
        rest_bytes=preparation.rest,
        scores_file=file,
        space=space,
        ops=preparation.latency.ops if preparation.latency is not None else None,
    )
    first = seeds(preparation, scores, context.objectives(experiment))
    if fresh and places.storage is None:  # only now that nothing can refuse the new search
        folder.set_aside()
    storage = open_storage(folder, places.storage)
    if fresh:
        SearchStudy.set_aside(storage, experiment.name)
    study = SearchStudy.create(storage, experiment, identity, context)
    study.enqueue(first)
    return study


def _loop(
    preparation: Preparation,
    study: SearchStudy,
    folder: RunFolder,
    places: Places,
    pools: Mapping[Workflow, WorkerPool],
    observer: SearchObserver,
    stop: Callable[[], bool],
    runtime: Runtime,
) -> SearchOutcome:
    experiment = preparation.experiment
    pool = pools[Workflow.DATA_FREE]
    objectives = study.context.objectives(experiment)
    before = folder.remembered_tracking_uri
    if before and not places.tracking_uri:
        observer.warn(
            f"this search was tracked by {before}; without --tracking-uri its record is in the run folder now"
        )
    folder.remember_tracking_uri(absolute(places.tracking_uri) if places.tracking_uri else None)
    scores = Scores.load(folder.scores / study.context.scores_file)
    history = SearchHistory(experiment, study, objectives, scores, preparation.latency)
    if experiment.search.sampler == "guided":
        study.sampler = lambda seed: guided_sampler(preparation, scores, objectives, seed)
    measuring = _measuring(preparation, history, pool.settings, observer, runtime)

    def on_trial(record: Record) -> None:
        history.add(record)
        observer.on_trial_finished(record, history)
        stagnation = history.stagnation()
        if stagnation:
            observer.warn(stagnation)

    def on_escalation(record: Record) -> None:
        history.add(record)
        observer.on_escalation_finished(record, history)

    escalations = Escalations(preparation, study, objectives, history.trials, pools, on_escalation, observer.warn)

    def stopped() -> bool:  # asked between waits, however long an evaluation takes
        if measuring is not None:
            measuring.poll(lambda: history.front)
        escalations.poll()
        return stop()

    loop = Loop(
        study,
        pool,
        objectives,
        preparation.costs,
        experiment.budget,
        experiment.search.in_flight,
        on_trial,
        stopped,
        _screen(experiment, preparation.workload),
        preparation.space.size,
    )
    observer.on_search_started(history)
    ending = Ending.FAILED
    try:
        ending = loop.run()
        if ending is not Ending.STOPPED:
            _finish(escalations, observer, stop)
            if measuring is not None:
                measuring.finish(lambda: history.front, stop)
            ending = Ending.STOPPED if stop() else ending
            picked = history.front.spread(experiment.search.confirm)
            confirm_members(study, pool, picked, preparation.workload, observer, stop)
    except KeyboardInterrupt:
        ending = Ending.INTERRUPTED
        raise
    except BaseException:
        ending = Ending.FAILED
        raise
    finally:
        if measuring is not None:
            measuring.close()
        observer.on_finished(ending, history)
    return SearchOutcome(ending, history.front, folder, study.confirmations())


def _measuring(
    preparation: Preparation,
    history: SearchHistory,
    settings: WorkerSettings,
    observer: SearchObserver,
    runtime: Runtime,
) -> Measuring | None:
    """What has the promising configurations measured on the device; ``None`` where there is none."""
    model, experiment = preparation.latency, preparation.experiment
    if model is None or not experiment.measure.members:
        return None

    def on_measured(record: Record, measurement: Measurement) -> None:
        history.learn_latencies()
        observer.on_measured(record, measurement, history)

    chip, unit = model.device.chip.name, model.setting.value
    order = Order(chip, unit, experiment.deployment_target, experiment.measure, runtime)
    return Measuring(history.study, order, settings, observer, on_measured)


def _finish(escalations: Escalations, observer: SearchObserver, stop: Callable[[], bool]) -> None:
    """Wait for the climbs that are left."""
    if not escalations.left:
        return
    with observer.bar("escalating", escalations.left) as advance:
        done = len(escalations.finished)

        def stopped() -> bool:
            nonlocal done
            advance(len(escalations.finished) - done)
            done = len(escalations.finished)
            return stop()

        escalations.finish(stopped)


def _screen(experiment: Experiment, workload: Workload) -> int:
    """Samples of the first look at a configuration: a quarter of the evaluation data; none where those are few."""
    axes = workload.sampling.axes
    count = sum(axes.count(batch.inputs) or 1 for batch in workload.batches(Split.EVALUATION))
    divergence = experiment.objectives.quality == "divergence"
    return count // 4 if experiment.search.screen and divergence and count >= 64 else 0
