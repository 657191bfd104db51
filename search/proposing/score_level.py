"""The level of scores: scores rank configurations well, and measured evaluations tell how far off their level is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.study.record import Record

__all__ = ["NEAREST", "UNTAUGHT_SPREAD", "WITHIN", "ScoreLevel", "score_level"]

NEAREST = 12
"""Evaluations that correct one prediction, at most."""
WITHIN = 1.5
"""How far their own predictions may be from it, as a logarithm of the ratio."""
UNTAUGHT_SPREAD = 0.7
"""Deviation of the logarithm of measured over predicted, until enough is measured: a factor of two either way."""
_TINY = 1e-12


class ScoreLevel:
    """Measured divergences beside the sums of scores that predicted them.

    Attributes:
        points: of each evaluation the sum of its scores, and the logarithm of measured over predicted.
        unseen: measured divergences of evaluations whose scores see no change at all.
    """

    def __init__(self) -> None:
        self.points: list[tuple[float, float]] = []
        self.unseen: list[float] = []

    def add(self, loss: float, divergence: float) -> None:
        """Take in one evaluation: the sum of its scores, and its measured divergence."""
        if loss <= 0:
            self.unseen.append(divergence)
        elif divergence > 0:
            self.points.append((loss, float(np.log(divergence / loss))))

    def ratios(self, loss: float) -> list[float]:
        """Return the logarithms of measured over predicted divergence where the prediction is nearest."""
        if not self.points:
            return []
        losses, ratios = np.array(self.points).T
        distances = np.abs(np.log(losses / max(loss, _TINY)))
        nearest = np.lexsort((ratios, distances))[:NEAREST]
        return [float(ratio) for ratio in ratios[nearest[distances[nearest] < WITHIN]]]

    def divergence(self, loss: float) -> float | None:
        """Return the divergence predicted from a sum of scores; ``None`` where it is 0 and no such sum was measured."""
        if loss <= 0:
            return float(np.median(self.unseen)) if self.unseen else None
        ratios = self.ratios(loss)
        return loss * float(np.exp(np.median(ratios))) if ratios else loss


def score_level(scores: Scores, records: Sequence[Record]) -> ScoreLevel:
    """Fit the level of scores to data-free evaluations, each configuration once."""
    found = ScoreLevel()
    for record in records:
        if record.evaluation is not None and record.answered_from is None and record.escalated_from is None:
            found.add(scores.predict(record.configuration), record.evaluation.divergence)
    return found
