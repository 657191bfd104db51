"""A search session: prepare, compress, score, seed, loop, and leave everything on disk."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from palettune.device_bench.measurement.latency_record import predicted_tags
from palettune.device_bench.measurement.measurement import CoreMLBackend, Runtime
from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.evaluators.sensitivity.scores import Scores
from palettune.evaluators.workload.workload import Split, Workload
from palettune.search.display.artifacts import artifacts
from palettune.search.display.progress import Display
from palettune.search.escalation.escalations import Ladder, check_ladder
from palettune.search.escalation.promotion import verdicts
from palettune.search.experiment.experiment import Experiment, Needs
from palettune.search.experiment.folder_lock import hold
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.loop.live_front import LiveFront
from palettune.search.loop.loop import Ending, Loop
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
from palettune.search.results.front import Front
from palettune.search.results.search_metrics import Standing
from palettune.search.study.record import Record
from palettune.search.study.study import SearchStudy, open_storage
from palettune.search.study.study_context import StudyContext
from palettune.search.tracking.tracking import Tracker
from palettune.search.tracking.tracking_store import absolute, reach
from palettune.search.workers.inline_pool import InlinePool
from palettune.search.workers.worker_pool import WorkerPool, WorkerSettings, connect

__all__ = ["Outcome", "Places", "run_search", "worker_settings"]


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
class Outcome:
    """How a session ended, the front by then, and what of it was confirmed (by the record's key)."""

    ending: Ending
    front: Front
    folder: RunFolder
    confirmations: Mapping[str, Evaluation]


class StopFlag:
    """Turns the first Ctrl-C (or SIGTERM) into a request; the second one interrupts at once."""

    def __init__(self) -> None:
        self.raised = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopFlag:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._raise)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _raise(self, number: int, _frame: FrameType | None) -> None:
        if self.raised:
            raise KeyboardInterrupt
        self.raised = True


def run_search(
    experiment: Experiment,
    places: Places,
    display: Display,
    *,
    fresh: bool = False,
    runtime: Runtime = CoreMLBackend,
) -> Outcome:
    """Run a search, or go on with it; what is already known is never computed again.

    Args:
        runtime: what talks to Core ML on a bench worker, should one join the cluster.

    Raises:
        UserError: for anything the user can mend.
    """
    folder = RunFolder(places.root, experiment.name)
    with hold(folder, display.warn):
        with display.stage("opening MLflow"):
            reach(folder, places.tracking_uri, display.warn)
        return _run(experiment, folder, places, display, fresh, runtime)


def _run(
    experiment: Experiment, folder: RunFolder, places: Places, display: Display, fresh: bool, runtime: Runtime
) -> Outcome:
    with display.stage("checking the workload"):
        preparation = prepare(experiment)
        identity = preparation.identity()
    study = None if fresh else _study(experiment, folder, places, identity, display)
    display.describe(preparation)
    check_ladder(preparation)
    say_calibration_minutes(preparation, display)
    check_before_search(preparation, folder, identity, display)
    with StopFlag() as flag:
        pools = _start_pools(preparation, folder, places, display)
        pool = pools[Workflow.DATA_FREE]
        try:
            if study is not None:
                preparation = replace(preparation, space=study.context.space)
                fill_bank(preparation, folder, pool, display)
            else:
                study = _create(preparation, identity, folder, places, pool, display, fresh)
                preparation = replace(preparation, space=study.context.space)
            return _loop(preparation, study, folder, places, pools, display, lambda: flag.raised, runtime)
        finally:
            for some in dict.fromkeys(pools.values()):  # workflows may share one
                some.stop()


def _study(
    experiment: Experiment, folder: RunFolder, places: Places, identity: dict[str, Any], display: Display
) -> SearchStudy | None:
    """The study to go on with, if there is one."""
    if places.storage is None and folder.mend_journal():
        display.warn(f"{folder.journal}: its last line was written by half, and is cut off")
    if places.storage is None and not folder.journal.exists():
        return None
    return SearchStudy.load(open_storage(folder, places.storage), experiment, identity)


def _start_pools(
    preparation: Preparation, folder: RunFolder, places: Places, display: Display
) -> dict[Workflow, WorkerPool]:
    """The workers of each workflow: those of the data-free one unless the experiment gives a workflow its own."""
    experiment = preparation.experiment
    own = {w: n for w, n in experiment.resources.items() if experiment.ladder.climbs.get(w)}
    wanted = {w: needs.model_copy(update={"workers": needs.workers or 1}) for w, needs in own.items()}
    pools: dict[Workflow, WorkerPool] = {}
    kind = InlinePool if places.inline else WorkerPool
    with display.stage("loading the workload" if places.inline else "starting Ray"):
        if not places.inline:
            connect(places.ray_address)
        for workflow, needs in [*wanted.items(), (Workflow.DATA_FREE, experiment.needs)]:
            reserved = sum(n.cpus * (n.workers or 1) for w, n in wanted.items() if w is not workflow)
            pool = kind(worker_settings(preparation, folder, needs), needs, workflow.value, on_lost=display.warn)
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
        ladder=experiment.ladder,
        float32=experiment.space.float32,
        float32_layers=tuple(sorted(preparation.base.float32)),
        data=experiment.data.options,
        gpus=needs.gpus,
    )


def _create(
    preparation: Preparation,
    identity: dict[str, Any],
    folder: RunFolder,
    places: Places,
    pool: WorkerPool,
    display: Display,
    fresh: bool,
) -> SearchStudy:
    experiment = preparation.experiment
    fill_bank(preparation, folder, pool, display)
    if experiment.space.prune:
        preparation = prune(preparation, folder, display)
    with display.stage("running the float model"):
        facts = call(pool, "describe")
    scores, file = score_layers(preparation, identity, folder, pool, facts["energy"], display)
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
    display: Display,
    stop: Callable[[], bool],
    runtime: Runtime,
) -> Outcome:
    experiment = preparation.experiment
    pool = pools[Workflow.DATA_FREE]
    objectives = study.context.objectives(experiment)
    latency = preparation.latency
    tags = predicted_tags(latency) if latency is not None else None
    before = folder.remembered_tracking_uri
    if before and not places.tracking_uri:
        display.warn(f"this search was tracked by {before}; without --tracking-uri its record is in the run folder now")
    folder.remember_tracking_uri(absolute(places.tracking_uri) if places.tracking_uri else None)
    tracker = Tracker(folder, places.tracking_uri, study.context.search_id, tags, display.warn)
    scores = Scores.load(folder.scores / study.context.scores_file)
    records = study.records()
    everything = [*records, *study.climbed(records)]
    standing = Standing(objectives, scores)
    tracker.rebuild([(record, standing.add(record)) for record in everything])
    if experiment.search.sampler == "guided":
        study.sampler = lambda seed: guided_sampler(preparation, scores, objectives, seed)
    live = LiveFront(preparation, study, objectives, everything, pool.settings, display, tracker, runtime)
    display.search(experiment, objectives, records)

    def seen(record: Record) -> None:
        everything.append(record)
        tracker.log(record, standing.add(record))
        display.trial(record, standing.hypervolume, live.front())

    def told(record: Record) -> None:
        records.append(record)
        seen(record)
        stagnation = standing.stagnation()
        if stagnation:
            display.warn(stagnation)

    ladder = Ladder(preparation, study, objectives, records, pools, seen, display.warn)

    def stopped() -> bool:  # asked between waits, however long an evaluation takes
        live.poll()
        ladder.poll()
        return stop()

    loop = Loop(
        study,
        pool,
        objectives,
        preparation.costs,
        experiment.budget,
        experiment.search.in_flight,
        told,
        stopped,
        _screen(experiment, preparation.workload),
        preparation.space.size,
    )
    status, reason = "FAILED", "the driver failed"
    try:
        ending = loop.run()
        if ending is not Ending.STOPPED:
            display.end()
            _finish(ladder, display, stop)
            live.finish(stop)
            ending = Ending.STOPPED if stop() else ending
            picked = live.front().spread(experiment.search.confirm)
            confirm_members(study, pool, picked, preparation.workload, display, stop)
        status, reason = ("KILLED" if ending is Ending.STOPPED else "FINISHED"), ending.value
    except KeyboardInterrupt:
        status, reason = "KILLED", "interrupted"
        raise
    finally:
        display.end()
        live.close()
        front = live.front()
        if front.members:
            tracker.texts(artifacts(experiment, study, everything, front, scores))
        tracker.ladder(verdicts(records, ladder.climbed, objectives))
        tracker.finish(status, reason)
        for problem in tracker.problems:
            display.warn(f"MLflow: {problem}")
    return Outcome(ending, front, folder, study.confirmations())


def _finish(ladder: Ladder, display: Display, stop: Callable[[], bool]) -> None:
    """Wait for the climbs that are left."""
    if not ladder.left:
        return
    with display.bar("climbing", ladder.left) as advance:
        done = len(ladder.climbed)

        def stopped() -> bool:
            nonlocal done
            advance(len(ladder.climbed) - done)
            done = len(ladder.climbed)
            return stop()

        ladder.finish(stopped)


def _screen(experiment: Experiment, workload: Workload) -> int:
    """Samples of the first look at a configuration: a quarter of the evaluation data; none where those are few."""
    axes = workload.sampling.axes
    count = sum(axes.count(batch.inputs) or 1 for batch in workload.batches(Split.EVALUATION))
    divergence = experiment.objectives.quality == "divergence"
    return count // 4 if experiment.search.screen and divergence and count >= 64 else 0
