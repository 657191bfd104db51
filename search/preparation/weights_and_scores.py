"""Groundwork: the compressed weights and the scores that a search stands on, each computed once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from palettune.evaluators.compression.compression_time import compression_seconds
from palettune.evaluators.quality.evaluation import Failure, evaluation_identity
from palettune.evaluators.sensitivity.base import Part, ScoringSetting, SensitivityScore, join
from palettune.evaluators.sensitivity.gradients import NO_GRADIENT
from palettune.evaluators.sensitivity.registry import registry
from palettune.evaluators.sensitivity.scores import Scores
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.evaluators.workload.samples import single_samples
from palettune.search.experiment.reporter import Reporter
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.preparation import Preparation
from palettune.search.workers.worker import scoring_split
from palettune.search.workers.worker_pool import WorkerError, WorkerPool
from palettune.space.encoding import Encoding
from palettune.space.errors import UserError
from palettune.space.footprint import layer_bytes
from palettune.space.pruning import prune_menus

__all__ = ["call", "fill_bank", "layer_weights", "prune", "say_calibration_minutes", "score_layers"]

_LONG = 60.0
"""Seconds."""


def layer_weights(preparation: Preparation, folder: RunFolder) -> LayerWeights:
    """The driver's view of the bank."""
    bank = WeightBank(folder.bank, folder.other_banks)
    return LayerWeights(preparation.workload.model, preparation.layers, bank, preparation.experiment.seed)


def prune(preparation: Preparation, folder: RunFolder, reporter: Reporter) -> Preparation:
    """The same with menus rid of encodings that another one beats in bytes and in weight error."""
    weights = layer_weights(preparation, folder)
    errors = registry()["weight_error"](ScoringSetting(preparation.workload.model, weights, preparation.kind))
    scores = errors.score(preparation.columns(), ())
    target = preparation.experiment.deployment_target

    def costs(layer: str, encoding: Encoding) -> tuple[float, float]:
        size = layer_bytes(preparation.space.menus[layer].layer, encoding, target)
        return float(size), scores.score(layer, encoding)

    pruned = prune_menus(preparation.space, costs)
    before = sum(len(preparation.space.menus[group[0]].encodings) for group in preparation.space.groups)
    reporter.warn(f"menus pruned: {pruned.count} of {before} choices are beaten in bytes and weight error, and dropped")
    return replace(preparation, space=pruned.space)


def fill_bank(preparation: Preparation, folder: RunFolder, pool: WorkerPool, reporter: Reporter) -> None:
    """Compress what the bank lacks, one call per layer, the largest first."""
    weights = layer_weights(preparation, folder)
    bank = weights.bank
    keys = {weights.key(layer, encoding): (layer, encoding) for layer, encoding in preparation.columns()}
    missing: dict[str, list[str]] = {}
    for key in bank.verify(keys):
        layer, encoding = keys[key]
        missing.setdefault(layer, []).append(str(encoding))
    for path in bank.damaged:
        layer, encoding = keys[path.name.split(".")[0]]
        reporter.warn(
            f"{path}: damaged (its checksum does not match); layer {layer!r} in {encoding} is compressed again"
        )
    if not missing:
        return
    sizes = {layer.name: layer.parameters for layer in preparation.layers}
    order = sorted(missing, key=lambda name: -sizes[name])
    _say_minutes(preparation, missing, pool.size, reporter)
    failures: list[Failure] = []
    with reporter.bar("compressing layers", sum(len(e) for e in missing.values())) as advance:
        for answer in pool.map("compress", [(name, (name, tuple(missing[name]))) for name in order]):
            failures += [answer.result] if isinstance(answer.result, Failure) else answer.result
            advance(len(missing[answer.key]))
    if failures:
        listed = "\n".join(f"  {failure}" for failure in failures[:10])
        raise UserError(
            f"{len(failures)} weight(s) could not be compressed; take these encodings out of space.encodings, "
            f"or name the layers under space.keep:\n{listed}"
        )


def _say_minutes(preparation: Preparation, missing: dict[str, list[str]], workers: int, reporter: Reporter) -> None:
    """Say beforehand how long the compression takes, where it is long, and which encoding takes most of it."""
    layers = {layer.name: layer for layer in preparation.layers}
    seconds: dict[str, float] = {}
    for name, spellings in missing.items():
        for spelling in spellings:
            taken = compression_seconds(layers[name], Encoding.parse(spelling))
            seconds[spelling] = seconds.get(spelling, 0.0) + taken
    total = sum(seconds.values()) / workers
    if total > _LONG:
        most = max(seconds, key=lambda spelling: seconds[spelling])
        reporter.warn(
            f"compressing {sum(map(len, missing.values()))} weights takes about {total / 60:.0f} minute(s) on {workers} "
            f"worker(s), {seconds[most] / sum(seconds.values()):.0%} of it in {most}; it is done once"
        )


def say_calibration_minutes(preparation: Preparation, reporter: Reporter) -> None:
    """Say beforehand how long one calibration clusters weights by importance, where it is long."""
    climbs = preparation.experiment.escalation.calibration
    menus = ((layer, preparation.space.menus[layer.name].encodings) for layer in preparation.layers)
    tables = ((layer, [e for e in encodings if e.table is not None]) for layer, encodings in menus)
    seconds = [max(compression_seconds(layer, e) for e in found) for layer, found in tables if found]
    if climbs and sum(seconds) > _LONG:
        reporter.warn(
            f"clustering the tables of {len(seconds)} layers by importance takes up to {sum(seconds) / 60:.0f} minute(s) in "
            f"each of {climbs} calibration(s); escalation.calibration says how many there are"
        )


def score_layers(
    preparation: Preparation,
    identity: dict[str, Any],
    folder: RunFolder,
    pool: WorkerPool,
    energy: Sequence[float],
    reporter: Reporter,
) -> tuple[Scores, str]:
    """Scores of every (layer, encoding), from the run folder or computed and kept there."""
    experiment = preparation.experiment
    split = scoring_split(preparation.workload.offers)
    wanted = experiment.search.score_samples
    sampling = preparation.workload.sampling
    count = len(single_samples(preparation.workload.batches(split), wanted, sampling.axes))
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
        **sampling.identity(),
    )
    path = folder.scores / f"{name}.safetensors"
    work = _Scoring(pool, count, tuple(energy), reporter)
    if path.exists():
        scores = Scores.load(path)
        if not scores.unreached:
            return scores, path.name
    else:
        scores = work.run("scoring sensitivities", method, columns)
    scores = _completed(scores, columns, work)
    scores.save(path)
    return scores, path.name


@dataclass(frozen=True)
class _Scoring:
    """Scorings of the same samples on the same workers."""

    pool: WorkerPool
    count: int
    energy: tuple[float, ...]
    reporter: Reporter

    def run(self, words: str, method: type[SensitivityScore], columns: Sequence[tuple[str, str]]) -> Scores:
        """All columns by one method."""
        parts = method.parts(len(columns), self.count, self.pool.size * 4)
        answers: list[tuple[Part, Scores]] = []
        with self.reporter.bar(words, len(parts)) as advance:
            calls = [(part, (method.name, tuple(columns), part, self.energy)) for part in parts]
            for answer in self.pool.map("score", calls):
                answers.append((answer.key, checked(answer.result)))
                advance(1)
        return join(answers)


def _completed(scores: Scores, columns: Sequence[tuple[str, str]], work: _Scoring) -> Scores:
    """Layers that no gradient reached, scored by running each of their encodings alone; said once."""
    if not scores.unreached:
        return scores
    lacking = [column for column in columns if column[0] in scores.unreached]
    why = f" ({scores.refusal})" if scores.refusal else ""
    work.reporter.warn(
        f"no gradient reaches {named(scores.unreached)}: {NO_GRADIENT}{why}; scored by running each encoding alone, "
        f"{len(lacking)} forward passes over {work.count} sample(s)"
    )
    return scores.replaced(work.run("scoring without gradients", registry()["isolated"], lacking))


def named(layers: Sequence[str], most: int = 5) -> str:
    """Layers in words, the first few by name."""
    more = f" and {len(layers) - most} more" if len(layers) > most else ""
    return f"layer{'s' if len(layers) > 1 else ''} {', '.join(layers[:most])}{more}"


def call(pool: WorkerPool, method: str, *arguments: Any) -> Any:
    """One call's answer; WorkerError where it failed."""
    return checked(next(iter(pool.map(method, [(method, arguments)]))).result)


def checked(result: Any) -> Any:
    if isinstance(result, Failure):
        raise WorkerError(f"a worker failed at {result}")
    return result
