"""Gains of escalations: the share of the loss that each took away, forecasts from it, and whether a rung pays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palettune.search.experiment.objectives import ObjectiveSet, hypervolume
from palettune.search.experiment.rungs.registry import EscalationSettings
from palettune.search.study.record import Record

__all__ = ["RungGain", "expected_share", "losses_of", "pairs_of", "rung_gains", "shares_of", "verdicts"]

Matrix = NDArray[np.float64]
_WIDTH = 0.15  # losses this far apart tell half as much of each other
_PRIOR_DEVIATION = 0.2
_ENOUGH = 4
_PAYS = 1e-3


def losses_of(record: Record, objectives: ObjectiveSet) -> list[float]:
    """Return the losses of an evaluation that was measured, 0 ideal and 1 the reference."""
    assert record.evaluation is not None
    return objectives.losses(objectives.values(record.evaluation, record.costs))


def pairs_of(rung: str, records: Sequence[Record], escalated: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Return the finished escalations to one rung, each after the evaluation that it was escalated from."""
    by_trial = {r.trial: r for r in (*records, *escalated)}
    return [
        (by_trial[r.escalated_from], r)
        for r in escalated
        if r.rung == rung and r.evaluation is not None and r.escalated_from in by_trial
    ]


def shares_of(pairs: Sequence[tuple[Record, Record]], objectives: ObjectiveSet) -> Matrix:
    """Return the quality loss before each escalation and the share of it that was taken away, (escalations, 2)."""
    rows = []
    for source, escalated in pairs:
        before, after = losses_of(source, objectives)[0], losses_of(escalated, objectives)[0]
        rows.append((before, 1.0 - after / before if before > 0 else 0.0))
    return np.array(rows, dtype=np.float64).reshape(len(rows), 2)


def expected_share(losses: Matrix, shares: Matrix, prior: float) -> tuple[Matrix, Matrix]:
    """Predict the share of each loss taken away, and its standard deviation; near losses weigh more."""
    weight = 0.5 ** (np.abs(losses[:, None] - shares[None, :, 0]) / _WIDTH)
    total = 1.0 + weight.sum(axis=1)
    mean = (prior + weight @ shares[:, 1]) / total
    spread = (_PRIOR_DEVIATION**2 + (weight * (shares[None, :, 1] - mean[:, None]) ** 2).sum(axis=1)) / total
    return mean, np.sqrt(spread)


@dataclass(frozen=True)
class RungGain:
    """Gain of one rung.

    Attributes:
        pairs: its finished escalations, each after the evaluation that it was escalated from.
        share: mean share of the quality loss that was taken away.
        before, after: hypervolume without the rung's evaluations, and with them.
    """

    rung: str
    pairs: tuple[tuple[Record, Record], ...]
    share: float
    before: float
    after: float

    @property
    def growth(self) -> float:
        """Growth of the hypervolume."""
        return self.after - self.before

    @property
    def pays(self) -> bool | None:
        """Whether it has grown the hypervolume by more than a thousandth; ``None`` while there are too few to tell."""
        if self.after > self.before * (1 + _PAYS):
            return True
        return None if len(self.pairs) < _ENOUGH else False


def rung_gains(
    records: Sequence[Record], escalated: Sequence[Record], objectives: ObjectiveSet
) -> tuple[RungGain, ...]:
    """Compare each rung that has finished escalations with all below it."""
    found: list[RungGain] = []
    known: list[Record] = list(records)
    for rung in (rung.name for rung in EscalationSettings().rungs):
        pairs = pairs_of(rung, records, escalated)
        if not pairs:
            continue
        before = _volume(known, objectives)
        known += [above for _, above in pairs]
        share = float(shares_of(pairs, objectives)[:, 1].mean())
        found.append(RungGain(rung, tuple(pairs), share, before, _volume(known, objectives)))
    return tuple(found)


def verdicts(
    records: Sequence[Record], escalated: Sequence[Record], objectives: ObjectiveSet
) -> dict[str, dict[str, float]]:
    """Return for each rung: escalations, mean share of the loss taken away, rank correlation, growth of the front.

    ``pays`` is 0 where at least four escalations have grown the hypervolume by less than a thousandth.
    """
    found: dict[str, dict[str, float]] = {}
    for gain in rung_gains(records, escalated, objectives):
        found[gain.rung] = {
            "escalations": len(gain.pairs),
            "loss_taken_away": gain.share,
            "hypervolume_growth": gain.growth,
            "pays": float(gain.pays is not False),
        }
        ranks = _rank_correlation(gain.pairs) if len(gain.pairs) >= _ENOUGH else None
        if ranks is not None:
            found[gain.rung]["rank_correlation"] = ranks
    return found


def _rank_correlation(pairs: Sequence[tuple[Record, Record]]) -> float | None:
    """Spearman's, of the divergences before and after; ``None`` where all are equal."""
    from scipy.stats import spearmanr  # half a second that readers of a run need not wait

    ranks = float(spearmanr(*zip(*[(_divergence(a), _divergence(b)) for a, b in pairs], strict=True)).statistic)
    return ranks if np.isfinite(ranks) else None


def _volume(records: Sequence[Record], objectives: ObjectiveSet) -> float:
    rows = [losses_of(r, objectives) for r in records if r.evaluation is not None and r.feasible]
    return hypervolume(np.array(rows).reshape(len(rows), len(objectives.objectives)))


def _divergence(record: Record) -> float:
    assert record.evaluation is not None
    return record.evaluation.divergence
