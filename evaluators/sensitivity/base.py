"""Contract of a sensitivity score, and parts of a scoring.

``palettune.testing.sensitivity_contract`` tests an implementation against it."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from palettune.evaluators.placement import CPU
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.sensitivity.scores import Column, Scores
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.workload.course import Course
from palettune.evaluators.workload.sampling import Sampling

__all__ = ["ScoringPart", "ScoringSetting", "SensitivityScore", "join_scores"]


@dataclass(frozen=True)
class ScoringPart:
    """Part of a scoring: ranges of columns and samples, by position."""

    columns: range
    samples: range


@dataclass(frozen=True)
class ScoringSetting:
    """Inputs that every sensitivity score is constructed from.

    Attributes:
        model: the float model; scores work on copies.
        weights: its compressed weights.
        kind: the divergence to predict.
        energy: for ``SQUARED_ERROR``, the mean squared norm of each floating-point output on the evaluation data.
        seed: of random numbers.
        memory_bytes: bound on memory beyond the model and one sample's activations.
        sampling: axes of samples, and state of the model.
        device: where copies of the model run.
    """

    model: nn.Module
    weights: LayerWeights
    kind: DivergenceKind
    energy: Sequence[float] = ()
    seed: int = 0
    memory_bytes: int = 2 * 1024**3
    sampling: Sampling = Sampling()  # noqa: RUF009 (frozen)
    device: torch.device = CPU


class SensitivityScore(ABC):
    """Prediction of the divergence of each (layer, encoding) with all other layers float.

    Scores are finite, not negative, in units of the divergence (up to a factor for a score without data), and do not
    depend on how a scoring is split into parts.
    """

    name: ClassVar[str]
    needs_data: ClassVar[bool] = True

    def __init__(self, setting: ScoringSetting) -> None:
        self.setting = setting

    @abstractmethod
    def score(
        self,
        columns: Sequence[Column],
        samples: Sequence[tuple[Tensor, ...]],
        first: int = 0,
        before: Sequence[tuple[Tensor, ...]] = (),
    ) -> Scores:
        """Score columns on samples.

        Args:
            columns: C pairs (layer, encoding) to score.
            samples: S inputs of one sample each.
            first: position of ``samples[0]`` among all samples; it determines random draws.
            before: the samples of the same sequence before ``samples[0]``; a model with state runs on them first.
        """

    def course(self, samples: Sequence[tuple[Tensor, ...]], before: Sequence[tuple[Tensor, ...]]) -> Course:
        """Return the course over ``samples``, preceded by the samples ``before`` them."""
        return self.setting.sampling.course([*before, *samples], range(len(before), len(before) + len(samples)))

    @classmethod
    @abstractmethod
    def parts(cls, columns: int, samples: int, count: int) -> list[ScoringPart]:
        """Split a scoring into at most ``count`` parts of about equal work."""


def join_scores(parts: Sequence[tuple[ScoringPart, Scores]]) -> Scores:
    """Join the parts of one scoring, in any order, into the scores of the whole."""
    ordered = sorted(parts, key=lambda item: (item[0].samples.start, item[0].columns.start))
    rows: dict[int, list[Scores]] = {}
    for part, scores in ordered:
        rows.setdefault(part.samples.start, []).append(scores)
    first = next(iter(rows.values()))
    signed = None
    if all(scores.signed is not None for _, scores in parts):
        signed = np.concatenate(
            [np.concatenate([s.signed for s in row if s.signed is not None], 1) for row in rows.values()]
        )
    return Scores(
        first[0].method,
        tuple(column for scores in first for column in scores.columns),
        np.concatenate([np.concatenate([scores.by_sample for scores in row], axis=1) for row in rows.values()]),
        signed,
        sum(scores.seconds for _, scores in parts),
        _unreached([scores for _, scores in ordered]),
        next((scores.refusal for _, scores in ordered if scores.refusal), None),
    )


def _unreached(parts: Sequence[Scores]) -> tuple[str, ...]:
    """Layers that are unreached in every part that has them."""
    reached = {layer for scores in parts for layer, _ in scores.columns if layer not in scores.unreached}
    return tuple(dict.fromkeys(layer for scores in parts for layer in scores.unreached if layer not in reached))


def even(count: int, parts: int) -> list[range]:
    """Split ``count`` items into at most ``parts`` consecutive, non-empty ranges whose lengths differ by at most one."""
    pieces = max(1, min(parts, count))
    edges = [count * i // pieces for i in range(pieces + 1)]
    return [range(a, b) for a, b in itertools.pairwise(edges)]
