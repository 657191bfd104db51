"""A search of any size that nobody ran: layers, scores and evaluations made up, in the product's own types."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.evaluators.quality.gain import Gain
from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.objectives import MEGABYTE
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.results.ending import Ending
from palettune.search.results.front import front_of
from palettune.search.review.review_facts import Phase, ReviewFacts, Uncompressed
from palettune.search.review.review_source import ReviewSource
from palettune.search.study.record import Record
from palettune.search.study.study_context import StudyContext
from palettune.space.configuration import Configuration
from palettune.space.encoding import FP16, Encoding
from palettune.space.footprint import layer_bytes
from palettune.space.layer import Layer, LayerKind
from palettune.space.search_space import SearchSpace

__all__ = ["made_up_source"]

_WIDTHS = (64, 128, 192, 256, 384, 512, 768)
_ROLES = ("attention.query", "attention.key", "attention.value", "attention.output", "mlp.up", "mlp.down")
_REST, _SAMPLES = 60_000, 96
_START = 1.8e9


def made_up_source(layers: int, trials: int, root: Path, seed: int = 0) -> ReviewSource:
    """Trials that share most of their encodings with an earlier one, an eighth of them escalated."""
    random = np.random.default_rng(seed)
    experiment = Experiment(
        name=f"made_up_{layers}", workload=Path("workload.py"), constraints={"max_size_mb": 0.5 * layers}
    )
    space = _space(layers, experiment, random)
    scores = _scores(space, random)
    context = StudyContext(
        "made up", DivergenceKind.KL, 5.0, {"top1": 0.75}, {"size_mb": _float_megabytes(space, experiment)}, _REST,
        "scores", space,
    )  # fmt: skip
    records = _records(experiment, space, scores, context, trials, random)
    front = front_of(records, context.objectives(experiment))
    confirmations = {r.key: _confirmed(r, random) for r in front.spread(24)}
    phases = (Phase("compressing", _START - 90, _START - 30), Phase("scoring", _START - 30, _START))
    left = (Uncompressed("position", 8_192, "an operand of add"),)
    facts = ReviewFacts("made up", 0.9973, left, ("made up",), phases, Ending.TRIALS)
    return ReviewSource(
        experiment, RunFolder(root, experiment.name), context, records, replace(front, confirmations=confirmations), scores,
        facts=facts,
    )  # fmt: skip


def _space(count: int, experiment: Experiment, random: np.random.Generator) -> SearchSpace:
    layers = []
    for number in range(count):
        block, role = divmod(number, len(_ROLES))
        shape = tuple(int(width) for width in random.choice(_WIDTHS, 2))
        layers.append(Layer(f"encoder.layers.{block}.{_ROLES[role]}", LayerKind.LINEAR, shape))
    return SearchSpace.build(layers, experiment.space.parsed, experiment.deployment_target)


def _scores(space: SearchSpace, random: np.random.Generator) -> Scores:
    columns, means = [], []
    for name, menu in space.menus.items():
        level = 10.0 ** random.uniform(-3.5, 0.5)
        for encoding in menu.encodings:
            columns.append((name, encoding))
            bits = 16 if encoding == FP16 else encoding.bits
            means.append(
                0.0 if bits == 16 and encoding.sparsity is None else level * 4.0**-bits * random.uniform(0.7, 1.4)
            )
    table = np.array(means) * random.lognormal(0, 0.3, (8, len(columns)))
    return Scores("fisher", tuple(columns), table)


def _float_megabytes(space: SearchSpace, experiment: Experiment) -> float:
    return (_REST + sum(layer_bytes(layer, FP16, experiment.deployment_target) for layer in space.layers)) / MEGABYTE


@dataclass(frozen=True)
class _Tables:
    """Of each layer, by place in its menu: bytes, scores and encodings."""

    menus: tuple[tuple[Encoding, ...], ...]
    names: tuple[str, ...]
    bytes: NDArray[np.int64]
    losses: NDArray[np.float64]

    @classmethod
    def of(cls, space: SearchSpace, experiment: Experiment, scores: Scores) -> _Tables:
        menus = tuple(space.menus[layer.name].encodings for layer in space.layers)
        means = scores.by_sample.mean(axis=0)
        sizes, losses = np.zeros((2, len(menus), max(map(len, menus))))
        for row, (layer, menu) in enumerate(zip(space.layers, menus, strict=True)):
            sizes[row, : len(menu)] = [layer_bytes(layer, e, experiment.deployment_target) for e in menu]
            losses[row, : len(menu)] = [means[scores.index(layer.name, e)] for e in menu]
        return cls(menus, tuple(layer.name for layer in space.layers), sizes.astype(np.int64), losses)

    def size(self, choices: NDArray[np.int64]) -> int:
        return _REST + int(self.bytes[np.arange(len(choices)), choices].sum())

    def loss(self, choices: NDArray[np.int64]) -> float:
        return float(self.losses[np.arange(len(choices)), choices].sum())

    def configuration(self, choices: NDArray[np.int64]) -> Configuration:
        return Configuration({n: menu[c] for n, menu, c in zip(self.names, self.menus, choices, strict=True)})

    def choices(self, configuration: Configuration) -> NDArray[np.int64]:
        pairs = zip(self.names, self.menus, strict=True)
        return np.array([menu.index(configuration.encodings[name]) for name, menu in pairs])

    def mutated(self, choices: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        """The same with a tenth of the layers changed."""
        changed = choices.copy()
        for row in np.flatnonzero(random.random(len(choices)) < 0.1):
            changed[row] = random.integers(len(self.menus[row]))
        return changed


def _records(
    experiment: Experiment,
    space: SearchSpace,
    scores: Scores,
    context: StudyContext,
    count: int,
    random: np.random.Generator,
) -> list[Record]:
    """Uniform configurations first, then earlier ones with changes; every eighth is an escalation."""
    objectives, tables = context.objectives(experiment), _Tables.of(space, experiment, scores)
    found: list[Record] = []
    chosen: list[NDArray[np.int64]] = []
    for number in range(count):
        source = found[int(random.integers(len(found)))] if found and number % 8 == 7 else None
        if source is not None:
            choices, configuration = chosen[source.trial], source.configuration
        elif number < len(experiment.space.encodings):
            configuration = space.uniform(experiment.space.parsed[number])
            choices = tables.choices(configuration)
        else:
            choices = tables.mutated(chosen[int(random.integers(len(chosen)))], random)
            configuration = tables.configuration(choices)
        chosen.append(choices)
        share = random.uniform(0.4, 0.9) if source else random.lognormal(0.0, 0.2)
        divergence = (tables.loss(choices) + 1e-6) * share
        by_sample = tuple(float(value) for value in divergence * random.lognormal(0, 0.5, _SAMPLES))
        workflow = Workflow("calibration") if source else Workflow.DATA_FREE
        metrics = {"top1": 0.75 - 0.1 * min(divergence, 5.0)}
        evaluation = Evaluation(configuration.hash, workflow, float(np.mean(by_sample)), by_sample, metrics)
        gains = (Gain("moment_matching", None, divergence / share, divergence, 0.01, 48, True),) if source else ()
        origin = f"escalated from {source.trial}" if source else _origin(experiment, number)
        costs = {"size_mb": tables.size(choices) / MEGABYTE}
        span = (_START + number, _START + number + 1.5)
        found.append(
            Record.judged(
                evaluation, objectives, costs, trial=number, origin=origin, configuration=configuration,
                workflow=workflow, answered_from=None, span=span, escalated_from=source.trial if source else None,
                gains=gains, rung="calibration" if source else None,
            )
        )  # fmt: skip
    return found


def _origin(experiment: Experiment, number: int) -> str:
    encodings = experiment.space.encodings
    return f"uniform {encodings[number]}" if number < len(encodings) else "guided"


def _confirmed(record: Record, random: np.random.Generator) -> Evaluation:
    assert record.evaluation is not None
    by_sample = tuple(float(v * random.lognormal(0.05, 0.3)) for v in (*record.evaluation.by_sample, 0.01, 0.02))
    return replace(record.evaluation, divergence=float(np.mean(by_sample)), by_sample=by_sample)
