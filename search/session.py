"""A search session: prepare, compress, score, seed, loop, and leave everything on disk."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from evaluators.assembly import LayerWeights
from evaluators.evaluation import Failure, evaluation_identity
from evaluators.sensitivity.base import Part, join, registry
from evaluators.sensitivity.fisher import single_samples
from evaluators.sensitivity.scores import Scores
from evaluators.weight_bank import WeightBank
from search.context import StudyContext
from search.experiment import Experiment
from search.front import Front, front_of, hypervolume_of
from search.loop import Ending, Loop
from search.objectives import ObjectiveSet, hypervolume
from search.pictures import front_page, front_png, layer_map_page, layer_map_png
from search.preparation import Preparation, prepare
from search.progress import Display
from search.resident import scoring_split
from search.run_folder import RunFolder
from search.seeds import guided_sampler, seeds
from search.study import Record, SearchStudy, open_storage
from search.tables import front_table_text
from search.tracking import Tracker, write_texts
from search.workers import WorkerError, WorkerPool, WorkerSettings, connect
from space.errors import UserError

__all__ = ["Outcome", "Places", "run_search"]


@dataclass(frozen=True)
class Places:
    """Where state lives and work is done; ``None`` means the run folder, or this machine."""

    root: Path
    storage: str | None = None
    tracking_uri: str | None = None
    ray_address: str | None = None


@dataclass(frozen=True)
class Outcome:
    """How a session ended, and the front by then."""

    ending: Ending
    front: Front
    folder: RunFolder


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


def run_search(experiment: Experiment, places: Places, display: Display, *, fresh: bool = False) -> Outcome:
    """Run a search, or go on with it; what is already known is never computed again.

    Raises:
        UserError: for anything the user can mend.
    """
    folder = RunFolder(places.root, experiment.name)
    with display.stage("checking the workload"):
        preparation = prepare(experiment)
        identity = preparation.identity()
    folder.create()
    if fresh:
        folder.set_aside()
    study = None
    if places.storage is not None or folder.journal.exists():
        storage = open_storage(folder, places.storage)
        if fresh:
            SearchStudy.forget(storage, experiment.name)
        study = SearchStudy.load(storage, experiment, identity)
    display.describe(preparation)
    with StopFlag() as flag:
        pool = _start_pool(preparation, folder, places, display)
        try:
            if study is None:
                study = _create(preparation, identity, folder, places, pool, display)
            else:
                _fill_bank(preparation, folder, pool, display)
            return _loop(preparation, study, folder, places, pool, display, lambda: flag.raised)
        finally:
            pool.stop()


def _start_pool(preparation: Preparation, folder: RunFolder, places: Places, display: Display) -> WorkerPool:
    experiment = preparation.experiment
    needs = experiment.needs
    settings = WorkerSettings(
        workload=experiment.workload,
        layers=tuple(layer.name for layer in preparation.layers),
        kind=preparation.kind,
        seed=experiment.seed,
        bank=folder.bank.resolve(),
        other_banks=tuple(path.resolve() for path in folder.other_banks),
        threads=max(1, int(needs.cpus)),
    )
    with display.stage("starting Ray"):
        connect(places.ray_address)
        pool = WorkerPool(settings, needs, on_lost=display.warn)
        pool.start()
    return pool


def _create(
    preparation: Preparation,
    identity: dict[str, Any],
    folder: RunFolder,
    places: Places,
    pool: WorkerPool,
    display: Display,
) -> SearchStudy:
    experiment = preparation.experiment
    _fill_bank(preparation, folder, pool, display)
    with display.stage("running the float model"):
        facts = _call(pool, "describe")
    scores, file = _scores(preparation, identity, folder, pool, facts["energy"], display)
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
    )
    study = SearchStudy.create(open_storage(folder, places.storage), experiment, identity, context)
    study.enqueue(seeds(preparation, scores))
    return study


def _fill_bank(preparation: Preparation, folder: RunFolder, pool: WorkerPool, display: Display) -> None:
    """Compress what the bank lacks, one call per layer, the largest first."""
    bank = WeightBank(folder.bank, folder.other_banks)
    weights = LayerWeights(preparation.workload.model, preparation.layers, bank, preparation.experiment.seed)
    keys = {weights.key(layer, encoding): (layer, encoding) for layer, encoding in preparation.columns()}
    missing: dict[str, list[str]] = {}
    for key in bank.verify(keys):
        layer, encoding = keys[key]
        missing.setdefault(layer, []).append(str(encoding))
    for path in bank.damaged:
        layer, encoding = keys[path.name.split(".")[0]]
        display.warn(
            f"{path}: damaged (its checksum does not match); layer {layer!r} in {encoding} is compressed again"
        )
    if not missing:
        return
    sizes = {layer.name: layer.parameters for layer in preparation.layers}
    order = sorted(missing, key=lambda name: -sizes[name])
    failures: list[Failure] = []
    with display.bar("compressing layers", sum(len(e) for e in missing.values())) as advance:
        for answer in pool.map("compress", [(name, (name, tuple(missing[name]))) for name in order]):
            failures += [answer.result] if isinstance(answer.result, Failure) else answer.result
            advance(len(missing[answer.key]))
    if failures:
        listed = "\n".join(f"  {failure}" for failure in failures[:10])
        raise UserError(
            f"{len(failures)} weight(s) could not be compressed; take these encodings out of space.encodings, "
            f"or name the layers under space.keep:\n{listed}"
        )


def _scores(
    preparation: Preparation,
    identity: dict[str, Any],
    folder: RunFolder,
    pool: WorkerPool,
    energy: Sequence[float],
    display: Display,
) -> tuple[Scores, str]:
    """Scores of every (layer, encoding), from the run folder or computed and kept there."""
    experiment = preparation.experiment
    split = scoring_split(preparation.workload.offers)
    wanted = experiment.search.score_samples
    count = len(single_samples(preparation.workload.batches(split), wanted))
    columns = tuple((layer, str(encoding)) for layer, encoding in preparation.columns())
    method = registry()[experiment.search.scores]
    name = evaluation_identity(
        method=method.name,
        weights=identity["model_weights"],
        data=identity["data"],
        versions=identity["versions"],
        columns=columns,
        count=count,
        kind=preparation.kind.value,
        seed=experiment.seed,
    )
    path = folder.scores / f"{name}.safetensors"
    if path.exists():
        return Scores.load(path), path.name
    parts = method.parts(len(columns), count, pool.size * 4)
    answers: list[tuple[Part, Scores]] = []
    with display.bar("scoring sensitivities", len(parts)) as advance:
        calls = [(part, (method.name, columns, part, tuple(energy))) for part in parts]
        for answer in pool.map("score", calls):
            answers.append((answer.key, _checked(answer.result)))
            advance(1)
    scores = join(answers)
    scores.save(path)
    return scores, path.name


def _call(pool: WorkerPool, method: str, *arguments: Any) -> Any:
    return _checked(next(iter(pool.map(method, [(method, arguments)]))).result)


def _checked(result: Any) -> Any:
    if isinstance(result, Failure):
        raise WorkerError(f"a worker failed at {result}")
    return result


def _loop(
    preparation: Preparation,
    study: SearchStudy,
    folder: RunFolder,
    places: Places,
    pool: WorkerPool,
    display: Display,
    stop: Callable[[], bool],
) -> Outcome:
    experiment = preparation.experiment
    objectives = study.context.objectives(experiment)
    with display.stage("opening MLflow"):
        tracker = Tracker(folder, places.tracking_uri, study.context.search_id)
    history = _with_hypervolume(study.records(), objectives)
    tracker.rebuild(history)
    if experiment.search.sampler == "guided":
        scores = Scores.load(folder.scores / study.context.scores_file)
        study.sampler = lambda seed: guided_sampler(preparation, scores, objectives, seed)
    records = [record for record, _ in history]
    display.search(experiment, objectives, records)

    def told(record: Record) -> None:
        records.append(record)
        volume = hypervolume_of(records, objectives)
        tracker.log(record, volume)
        display.trial(record, volume, front_of(records, objectives))

    loop = Loop(study, pool, objectives, preparation.costs, experiment.budget, experiment.search.in_flight, told, stop)
    status, reason = "FAILED", "the driver failed"
    try:
        ending = loop.run()
        status, reason = ("KILLED" if ending is Ending.STOPPED else "FINISHED"), ending.value
    except KeyboardInterrupt:
        status, reason = "KILLED", "interrupted"
        raise
    finally:
        display.end()
        front = front_of(records, objectives)
        tracker.flush()
        if front.members:
            write_texts(tracker, _artifacts(experiment, preparation, records, front))
        tracker.finish(status, reason)
        for problem in tracker.problems:
            display.warn(f"MLflow: {problem}")
    return Outcome(ending, front, folder)


def _with_hypervolume(records: Sequence[Record], objectives: ObjectiveSet) -> list[tuple[Record, float]]:
    rows: list[list[float]] = []
    found = []
    for record in records:
        if record.values is not None and record.feasible:
            rows.append(objectives.losses(record.values))
        found.append((record, hypervolume(np.array(rows).reshape(len(rows), len(objectives.objectives)))))
    return found


def _artifacts(
    experiment: Experiment, preparation: Preparation, records: Sequence[Record], front: Front
) -> dict[str, str | bytes]:
    layers, target = preparation.layers, experiment.deployment_target
    return {
        "front.html": front_page(experiment.name, records, front),
        "front.png": front_png(experiment.name, records, front),
        "layer_map.html": layer_map_page(experiment.name, layers, front, target),
        "layer_map.png": layer_map_png(experiment.name, layers, front, target),
        "front.txt": front_table_text(front),
        "front.json": front_json_text(front),
    }


def front_json_text(front: Front) -> str:
    """The front as JSON text."""
    import json

    from search.front import to_json

    return json.dumps(to_json(front), indent=2)
