"""Promotion: which evaluation climbs next to a dearer workflow, and whether climbing pays.

A climb is decided when a fixed number of data-free evaluations are told, from them and from the climbs told by then,
so that the same experiment climbs the same way whatever the speed of its workers. The candidate of the greatest
expected hypervolume gain climbs: its costs are known, and what a climb gives is learned from earlier climbs whose
quality was near. Asynchronous promotion in rungs is Li et al. 2020 (ASHA, https://arxiv.org/abs/1810.05934); ranking by
expected gain along the whole front, not by rank within a rung, is what several objectives need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.experiment import EscalationSettings
from palettune.search.experiment.objectives import ObjectiveSet, hypervolume, non_dominated
from palettune.search.proposing.expected_improvement import expected_gain
from palettune.search.study.record import Record

__all__ = ["Slot", "promote", "rung_of", "schedule", "verdicts"]

RUNGS = ("calibration", "int8_activations", "fine_tuning")

Matrix = NDArray[np.float64]
_WIDTH = 0.15  # losses this far apart tell half as much of each other
_PRIOR, _PRIOR_DEVIATION = 0.2, 0.2  # share of the loss that a climb takes away, before any is known
_ROUNDING_PRIOR = 0.0  # what calibration gains, rounded activations are taken to lose
_ENOUGH = 4
_PAYS = 1e-3


@dataclass(frozen=True)
class Slot:
    """One climb to be decided.

    Attributes:
        workflow: climbed to.
        after: data-free evaluations that must be told before it is decided.
        rounds: whether activations become 8 bits.
    """

    workflow: Workflow
    after: int
    rounds: bool = False

    @property
    def rung(self) -> str:
        """The key of the experiment's ``[ladder]`` that asks for it."""
        return rung_of(self.workflow, self.rounds)


def rung_of(workflow: Workflow, rounds: bool) -> str:
    """The key of the experiment's ``[ladder]`` that a climb is counted under."""
    return "int8_activations" if rounds else workflow.value


def schedule(ladder: EscalationSettings, trials: int) -> list[Slot]:
    """When what climbs: over the second half of the data-free budget, each rung somewhat after the one below."""
    delay = 0.25 if ladder.calibration else 0.0  # until something is calibrated, nothing can be fine-tuned
    places = [(place, Workflow.CALIBRATION, False) for place in _even(ladder.calibration, 0.25, 0.0)]
    places += [(place, Workflow.CALIBRATION, True) for place in _even(ladder.int8_activations, 0.5, delay)]
    places += [(place, Workflow.FINE_TUNING, False) for place in _even(ladder.fine_tuning, 0.75, delay)]
    places.sort(key=lambda place: (place[0], place[1].value))
    return [
        Slot(workflow, min(trials, int(np.ceil(trials * (0.5 + place / 2)))), rounds)
        for place, workflow, rounds in places
    ]


def _even(count: int, phase: float, delay: float) -> list[float]:
    return [delay + (1 - delay) * (i + phase) / count for i in range(count)]


def promote(
    slot: Slot,
    records: Sequence[Record],
    climbs: Sequence[Record],
    pending: Sequence[Record],
    objectives: ObjectiveSet,
    below: Workflow,
    rounded: Callable[[Record], Record | None],
) -> Record | None:
    """The evaluation that should climb next; ``None`` where there is no candidate.

    What is returned has the configuration and the costs that the climb asks for, which are its own unless activations
    become 8 bits.

    Args:
        records: data-free evaluations told so far.
        climbs: climbs told so far, failed ones included.
        pending: where the climbs of this kind under way began, with what they ask for; they count as if they had met
            their expectation.
        below: the workflow climbed from; where it has nothing left, data-free evaluations climb at once.
        rounded: an evaluation with activations in 8 bits instead, where it has layers that take them.
    """
    workflow = slot.workflow
    tried = {(r.configuration.hash, r.workflow) for r in climbs} | {(r.configuration.hash, workflow) for r in pending}
    measured = [r for r in (*records, *climbs) if r.evaluation is not None and r.answered_from is None]
    wanted = [rounded(r) for r in measured] if slot.rounds else [r for r in measured if r.workflow is not workflow]
    affordable = [
        r
        for r in wanted
        if r is not None and (r.configuration.hash, workflow) not in tried and objectives.affordable(r.costs)
    ]
    candidates = affordable
    if not slot.rounds:
        candidates = [r for r in affordable if r.workflow is below] or [
            r for r in affordable if r.workflow is Workflow.DATA_FREE
        ]
    if not candidates:
        return None
    losses = np.array([_losses(r, objectives) for r in measured])
    meeting = [i for i, r in enumerate(measured) if r.feasible]
    front = losses[meeting][non_dominated(losses[meeting])] if meeting else losses[:0]
    rates = _rates(_sources(slot.rung, records, climbs), objectives)
    prior = _ROUNDING_PRIOR if slot.rounds else _PRIOR
    waiting = np.array([_losses(r, objectives) for r in pending]).reshape(len(pending), losses.shape[1])
    if len(waiting):
        waiting[:, 0] *= 1.0 - _expect(waiting[:, 0], rates, prior)[0]
        front = np.concatenate([front, waiting])
    starts = np.array([_losses(r, objectives) for r in candidates])
    rate, deviation = _expect(starts[:, 0], rates, prior)
    gains = expected_gain(front, starts[:, 1:], starts[:, 0] * (1.0 - rate), np.maximum(starts[:, 0] * deviation, 1e-6))
    return candidates[min(range(len(candidates)), key=lambda i: (-gains[i], candidates[i].trial))]


def verdicts(
    records: Sequence[Record], climbs: Sequence[Record], objectives: ObjectiveSet
) -> dict[str, dict[str, float]]:
    """What each rung brought: climbs, mean share of the loss taken away, rank correlation, growth of the front.

    ``pays`` is 0 where at least four climbs have grown the hypervolume by less than a thousandth.
    """
    found: dict[str, dict[str, float]] = {}
    known: list[Record] = list(records)
    for rung in RUNGS:
        pairs = _sources(rung, records, climbs)
        mine = [climb for _, climb in pairs]
        if not mine:
            continue
        rates = _rates(pairs, objectives)
        before = _volume(known, objectives)
        known += mine
        after = _volume(known, objectives)
        found[rung] = {
            "climbs": len(mine),
            "loss_taken_away": float(rates[:, 1].mean()),
            "hypervolume_growth": after - before,
            "pays": float(len(mine) < _ENOUGH or after > before * (1 + _PAYS)),
        }
        if len(pairs) >= _ENOUGH:
            ranks = float(spearmanr(*zip(*[(_divergence(a), _divergence(b)) for a, b in pairs], strict=True)).statistic)
            if np.isfinite(ranks):
                found[rung]["rank_correlation"] = ranks
    return found


def _losses(record: Record, objectives: ObjectiveSet) -> list[float]:
    assert record.evaluation is not None
    return objectives.losses(objectives.values(record.evaluation, record.costs))


def _volume(records: Sequence[Record], objectives: ObjectiveSet) -> float:
    rows = [_losses(r, objectives) for r in records if r.evaluation is not None and r.feasible]
    return hypervolume(np.array(rows).reshape(len(rows), len(objectives.objectives)))


def _sources(rung: str, records: Sequence[Record], climbs: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Finished climbs of one rung, each with the evaluation that it began from."""
    by_trial = {r.trial: r for r in (*records, *climbs)}
    pairs = [
        (by_trial[r.escalated_from], r) for r in climbs if r.evaluation is not None and r.escalated_from in by_trial
    ]
    return [(a, b) for a, b in pairs if rung == rung_of(b.workflow, a.configuration != b.configuration)]


def _divergence(record: Record) -> float:
    assert record.evaluation is not None
    return record.evaluation.divergence


def _rates(pairs: Sequence[tuple[Record, Record]], objectives: ObjectiveSet) -> Matrix:
    """(climbs, 2): the loss before, and the share of it that was taken away."""
    rows = []
    for source, climb in pairs:
        before, after = _losses(source, objectives)[0], _losses(climb, objectives)[0]
        rows.append((before, 1.0 - after / before if before > 0 else 0.0))
    return np.array(rows, dtype=np.float64).reshape(len(rows), 2)


def _expect(losses: Matrix, rates: Matrix, prior: float) -> tuple[Matrix, Matrix]:
    """Expected share of each loss taken away, and its standard deviation; near climbs tell more."""
    weight = 0.5 ** (np.abs(losses[:, None] - rates[None, :, 0]) / _WIDTH)
    total = 1.0 + weight.sum(axis=1)
    mean = (prior + weight @ rates[:, 1]) / total
    spread = (_PRIOR_DEVIATION**2 + (weight * (rates[None, :, 1] - mean[:, None]) ** 2).sum(axis=1)) / total
    return mean, np.sqrt(spread)
