"""The compressed weights and the scores that a search needs before its first trial, each computed once and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palettune.evaluators.compression.compression_time import compression_seconds
from palettune.evaluators.quality.evaluation import Failure, evaluation_identity
from palettune.evaluators.quality.left_out import listed
from palettune.evaluators.sensitivity.base import ScoringPart, SensitivityScore, join_scores
from palettune.evaluators.sensitivity.gradients import NO_GRADIENT
from palettune.evaluators.sensitivity.registry import registered_scores as registry
from palettune.evaluators.sensitivity.scores import Column, Scores, ScoresError
from palettune.evaluators.workload.samples import single_samples
from palettune.search.experiment.reporter import Reporter
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.driver_weights import LONG, layer_weights
from palettune.search.preparation.preparation import Preparation
from palettune.search.workers.evaluations import Evaluations, never, succeeded
from palettune.search.workers.requests import Compress, Describe, Score
from palettune.space.encoding import Encoding
from palettune.space.errors import UserError

__all__ = ["fill_bank", "restore_scores", "score_columns", "score_layers"]


def fill_bank(
    preparation: Preparation,
    folder: RunFolder,
    evaluations: Evaluations,
    reporter: Reporter,
    stop: Callable[[], bool] = never,
) -> None:
    """Compress what the bank lacks, one call per layer, the largest first.

    Raises:
        SearchStopped: ``stop`` was true; what is compressed by then is in the bank.
    """
    weights = layer_weights(preparation, folder)
    bank = weights.bank
    keys = {weights.key(layer, encoding): (layer, encoding) for layer, encoding in preparation.columns()}
    missing: dict[str, list[Encoding]] = {}
    for key in bank.verify(keys):
        layer, encoding = keys[key]
        missing.setdefault(layer, []).append(encoding)
    for path in bank.damaged:
        layer, encoding = keys[path.name.split(".")[0]]
        reporter.warn(
            f"{path}: damaged (its checksum does not match); layer {layer!r} in {encoding} is compressed again"
        )
    if not missing:
        return
    sizes = {layer.name: layer.parameters for layer in preparation.layers}
    order = sorted(missing, key=lambda name: -sizes[name])
    _say_minutes(preparation, missing, evaluations.size, reporter)
    failures: list[Failure] = []
    with reporter.bar("compressing layers", sum(len(e) for e in missing.values())) as advance:
        requests = [Compress(name, tuple(missing[name])) for name in order]
        for index, answer in evaluations.completed(requests, stop):
            failures += [answer.result] if isinstance(answer.result, Failure) else answer.result
            advance(len(requests[index].encodings))
    if failures:
        listed = "\n".join(f"  {failure}" for failure in failures[:10])
        raise UserError(
            f"{len(failures)} weight(s) could not be compressed; take these encodings out of space.encodings, "
            f"or name the layers under space.keep:\n{listed}"
        )


def _say_minutes(
    preparation: Preparation, missing: Mapping[str, Sequence[Encoding]], workers: int, reporter: Reporter
) -> None:
    """Say beforehand how long the compression takes, where it is long, and which encoding takes most of it."""
    layers = {layer.name: layer for layer in preparation.layers}
    seconds: dict[str, float] = {}
    for name, encodings in missing.items():
        for encoding in encodings:
            taken = compression_seconds(layers[name], encoding)
            seconds[str(encoding)] = seconds.get(str(encoding), 0.0) + taken
    total = sum(seconds.values()) / workers
    if total > LONG:
        most = max(seconds, key=lambda spelling: seconds[spelling])
        reporter.warn(
            f"compressing {sum(map(len, missing.values()))} weights takes about {total / 60:.0f} minute(s) on {workers} "
            f"worker(s), {seconds[most] / sum(seconds.values()):.0%} of it in {most}; it is done once"
        )


def score_layers(
    preparation: Preparation,
    identity: Mapping[str, Any],
    folder: RunFolder,
    evaluations: Evaluations,
    energy: Sequence[float],
    reporter: Reporter,
    stop: Callable[[], bool] = never,
) -> tuple[Scores, str]:
    """Load the scores of every (layer, encoding) from the run folder, or compute and save them.

    Raises:
        SearchStopped: ``stop`` was true.
    """
    experiment = preparation.experiment
    sampling, count = preparation.workload.sampling, _samples(preparation)
    columns = tuple(preparation.columns())
    method = registry()[experiment.search.scores]
    name = evaluation_identity(
        method=method.name,
        weights=identity["model_weights"],
        data=identity["data"],
        versions=identity["versions"],
        columns=tuple((layer, str(encoding)) for layer, encoding in columns),
        count=count,
        kind=preparation.kind.value,
        seed=experiment.seed,
        **sampling.identity(),
    )
    path = folder.scores / f"{name}.safetensors"
    work = _Scoring(evaluations, count, tuple(energy), reporter, stop)
    return _kept(path, columns, method, work), path.name


def restore_scores(
    preparation: Preparation,
    path: Path,
    evaluations: Evaluations,
    reporter: Reporter,
    stop: Callable[[], bool] = never,
) -> None:
    """Score every (layer, encoding) of a study again where the file of its scores is missing or damaged.

    Raises:
        SearchStopped: ``stop`` was true.
    """
    try:
        Scores.load(path)
    except ScoresError:
        energy = evaluations.result(Describe(), stop).energy
        work = _Scoring(evaluations, _samples(preparation), tuple(energy), reporter, stop)
        _kept(path, tuple(preparation.columns()), registry()[preparation.experiment.search.scores], work)


def _kept(path: Path, columns: Sequence[Column], method: type[SensitivityScore], work: _Scoring) -> Scores:
    """Scores from a file; computed and written there where it is missing, damaged or not complete."""
    try:
        scores = Scores.load(path)
        if not scores.unreached:
            return scores
    except ScoresError as error:
        if path.exists():
            work.reporter.warn(f"{error}; the layers are scored again now")
        scores = work.run("scoring sensitivities", method, columns)
    scores = _completed(scores, columns, work)
    scores.save(path)
    return scores


def score_columns(
    preparation: Preparation,
    evaluations: Evaluations,
    energy: Sequence[float],
    reporter: Reporter,
    columns: Sequence[Column],
) -> Scores:
    """Score some (layer, encoding), on the samples that all others are scored on."""
    work = _Scoring(evaluations, _samples(preparation), tuple(energy), reporter, never)
    method = registry()[preparation.experiment.search.scores]
    return _completed(work.run("scoring sensitivities", method, columns), columns, work)


def _samples(preparation: Preparation) -> int:
    """How many samples scores are taken on."""
    workload, wanted = preparation.workload, preparation.experiment.search.score_samples
    return len(single_samples(workload.batches(workload.scoring_split), wanted, workload.sampling.axes))


@dataclass(frozen=True)
class _Scoring:
    """Scorings of the same samples on the same workers."""

    evaluations: Evaluations
    count: int
    energy: tuple[float, ...]
    reporter: Reporter
    stop: Callable[[], bool]

    def run(self, words: str, method: type[SensitivityScore], columns: Sequence[Column]) -> Scores:
        """All columns by one method."""
        parts = method.parts(len(columns), self.count, self.evaluations.size * 4)
        answers: list[tuple[ScoringPart, Scores]] = []
        with self.reporter.bar(words, len(parts)) as advance:
            requests = [Score(method.name, tuple(columns), part, self.energy) for part in parts]
            for index, answer in self.evaluations.completed(requests, self.stop):
                answers.append((parts[index], succeeded(answer)))
                advance(1)
        return join_scores(answers)


def _completed(scores: Scores, columns: Sequence[Column], work: _Scoring) -> Scores:
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
    """Return layers in words, the first few by name."""
    return f"layer{'s' if len(layers) > 1 else ''} {listed(layers, most)}"
