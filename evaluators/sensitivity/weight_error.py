"""Weight error: relative squared change of each weight; needs no data, but ranks layers poorly (a baseline)."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from palettune.evaluators.sensitivity.base import ScoringPart, SensitivityScore
from palettune.evaluators.sensitivity.scores import Column, Scores
from palettune.space.encoding import Encoding

__all__ = ["WeightErrorScore"]


class WeightErrorScore(SensitivityScore):
    """Sensitivity score ``||w' - w||^2 / ||w||^2``: dimensionless, not an estimate of the divergence."""

    name = "weight_error"
    needs_data = False

    def score(
        self,
        columns: Sequence[Column],
        samples: Sequence[tuple[Tensor, ...]],
        first: int = 0,
        before: Sequence[tuple[Tensor, ...]] = (),
    ) -> Scores:
        """Score columns in one row; samples are not used."""
        started = time.perf_counter()
        values = [self._error(*column) for column in columns]
        return Scores(self.name, tuple(columns), np.array([values]), None, time.perf_counter() - started)

    def _error(self, layer: str, encoding: Encoding) -> float:
        weight = self.setting.weights.float_weight(layer).double()
        changed = self.setting.weights.get(layer, encoding).effective.double()
        scale = float(weight.square().sum())
        return float((changed - weight).square().sum()) / scale if scale else 0.0

    @classmethod
    def parts(cls, columns: int, samples: int, count: int) -> list[ScoringPart]:
        """Return one part: scoring takes little time."""
        return [ScoringPart(range(columns), range(min(samples, 1)))]
