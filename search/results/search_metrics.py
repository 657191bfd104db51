"""Metrics of a whole search after each trial: hypervolume, how well scores rank, and whether it still moves."""

from __future__ import annotations

import numpy as np

from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.experiment.objectives import ObjectiveSet, hypervolume
from palettune.search.study.record import Record

__all__ = ["SearchMetrics"]

_PATIENCE = 40
_GROWTH = 1e-3


class SearchMetrics:
    """Metrics of a search after each trial, in their order.

    Args:
        scores: the saved scores, whose ranking of configurations is compared with what is measured; ``None`` for none.
    """

    def __init__(self, objectives: ObjectiveSet, scores: Scores | None) -> None:
        self._objectives = objectives
        self._scores = scores
        self._losses: list[list[float]] = []
        self._volumes: list[float] = []
        self._pairs: list[tuple[float, float]] = []
        self._said = False

    @property
    def hypervolume(self) -> float:
        """Of all trials so far, in [0, 1]."""
        return self._volumes[-1] if self._volumes else 0.0

    def add(self, record: Record) -> dict[str, float]:
        """Take in one trial; give the metrics of the whole search after it."""
        if record.values is not None and record.feasible:
            self._losses.append(self._objectives.losses(record.values))
        rows = np.array(self._losses).reshape(len(self._losses), len(self._objectives.objectives))
        self._volumes.append(hypervolume(rows))
        new = record.answered_from is None and record.escalated_from is None and not record.added
        if self._scores is not None and record.evaluation is not None and new:
            self._pairs.append((self._scores.predict(record.configuration), record.evaluation.divergence))
        found = {"hypervolume": self.hypervolume}
        if len(self._pairs) >= 5:
            from scipy.stats import spearmanr  # takes long to import, and reading a search does without

            predicted, measured = np.array(self._pairs).T
            if np.ptp(predicted) and np.ptp(measured):  # no rank while all are equal
                found["spearman_predicted_measured"] = float(spearmanr(predicted, measured).statistic)
        return found

    def stagnation(self) -> str | None:
        """Say once when the last trials have hardly moved the front."""
        if self._said or len(self._volumes) <= _PATIENCE:
            return None
        before = self._volumes[-1 - _PATIENCE]
        if before > 0 and self.hypervolume < before * (1 + _GROWTH):
            self._said = True
            return (
                f"the last {_PATIENCE} trials have grown the hypervolume by less than {_GROWTH:.1%}: "
                "more of the same will hardly help; Ctrl-C ends the search and keeps the front"
            )
        return None
