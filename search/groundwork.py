"""Groundwork: the compressed weights and the scores that a search stands on, each computed once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from evaluators.assembly import LayerWeights
from evaluators.evaluation import Failure, evaluation_identity
from evaluators.samples import single_samples
from evaluators.sensitivity.base import Part, ScoringSetting, join, registry
from evaluators.sensitivity.scores import Scores
from evaluators.weight_bank import WeightBank
from search.preparation import Preparation
from search.progress import Display
from search.resident import scoring_split
from search.run_folder import RunFolder
from search.workers import WorkerError, WorkerPool
from space.encoding import Encoding
from space.errors import UserError
from space.footprint import layer_bytes
from space.pruning import prune_menus

__all__ = ["call", "fill_bank", "layer_weights", "prune", "score_layers"]


def layer_weights(preparation: Preparation, folder: RunFolder) -> LayerWeights:
    """The driver's view of the bank."""
    bank = WeightBank(folder.bank, folder.other_banks)
    return LayerWeights(preparation.workload.model, preparation.layers, bank, preparation.experiment.seed)


def prune(preparation: Preparation, folder: RunFolder, display: Display) -> Preparation:
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
    display.warn(f"menus pruned: {pruned.count} of {before} choices are beaten in bytes and weight error, and dropped")
    return replace(preparation, space=pruned.space)


def fill_bank(preparation: Preparation, folder: RunFolder, pool: WorkerPool, display: Display) -> None:
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


def score_layers(
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
    if path.exists():
        return Scores.load(path), path.name
    parts = method.parts(len(columns), count, pool.size * 4)
    answers: list[tuple[Part, Scores]] = []
    with display.bar("scoring sensitivities", len(parts)) as advance:
        calls = [(part, (method.name, columns, part, tuple(energy))) for part in parts]
        for answer in pool.map("score", calls):
            answers.append((answer.key, checked(answer.result)))
            advance(1)
    scores = join(answers)
    scores.save(path)
    return scores, path.name


def call(pool: WorkerPool, method: str, *arguments: Any) -> Any:
    """One call's answer; WorkerError where it failed."""
    return checked(next(iter(pool.map(method, [(method, arguments)]))).result)


def checked(result: Any) -> Any:
    if isinstance(result, Failure):
        raise WorkerError(f"a worker failed at {result}")
    return result
