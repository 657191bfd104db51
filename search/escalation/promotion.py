"""Promotion: which evaluation is escalated next, and to which rung.

An escalation is decided when a fixed number of data-free evaluations are told, from them and from the escalations told
by then, so that the same experiment escalates the same evaluations whatever the speed of its workers. The candidate of
the greatest expected hypervolume gain is taken: its costs are known, and what an escalation gives is learned from
earlier ones whose quality was near. Asynchronous promotion in rungs is Li et al. 2020 (ASHA,
https://arxiv.org/abs/1810.05934); ranking by expected gain along the whole front, not by rank within a rung, is what
several objectives need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.objectives import ObjectiveSet, non_dominated
from palettune.search.experiment.rungs.registry import EscalationSettings
from palettune.search.experiment.rungs.rung import Rung
from palettune.search.proposing.expected_improvement import expected_gain
from palettune.search.results.escalation_gains import expected_share, losses_of, pairs_of, shares_of
from palettune.search.study.record import Record

__all__ = ["GreatestGain", "Promotion", "Seen", "Slot"]

_DELAY = 0.25  # of the second half, until something of the rung below can be there


@dataclass(frozen=True)
class Slot:
    """One escalation to be decided.

    Attributes:
        rung: escalated to.
        after: data-free evaluations that must be told before it is decided.
    """

    rung: Rung
    after: int


@dataclass(frozen=True)
class Seen:
    """Results that a promotion is decided from.

    Attributes:
        records: data-free evaluations told so far.
        escalated: escalations told so far, failed ones included.
        pending: where the escalations to the same rung under way began, with what they ask for; they count as if they
            had met their expectation.
        below: workflow of the rung that the slot's rung builds on; where it has nothing left, data-free evaluations
            are escalated at once.
    """

    records: Sequence[Record]
    escalated: Sequence[Record]
    pending: Sequence[Record]
    below: Workflow = Workflow.DATA_FREE


class Promotion(Protocol):
    """Policy of when an evaluation is escalated, and which."""

    def schedule(self, settings: EscalationSettings, trials: int) -> list[Slot]:
        """Return the slots of a search of ``trials`` data-free evaluations, in the order in which they are decided."""
        ...

    def promote(
        self, slot: Slot, seen: Seen, objectives: ObjectiveSet, asks: Callable[[Record], Record | None]
    ) -> Record | None:
        """Return the evaluation to escalate next; ``None`` where there is no candidate.

        Args:
            asks: an evaluation with the configuration and the costs that the rung would give it; ``None`` where the
                rung has nothing to do there. What is returned has them.
        """
        ...


class GreatestGain:
    """Promotion of the evaluation whose escalation is expected to grow the hypervolume most."""

    def schedule(self, settings: EscalationSettings, trials: int) -> list[Slot]:
        """Spread the slots over the second half of the data-free budget, each rung after the one that it builds on."""
        counts = {rung.name: rung.count for rung in settings.rungs}
        places = [
            (place, rung)
            for rung in settings.rungs
            for place in _even(rung.count, rung.phase, _DELAY if rung.builds_on and counts[rung.builds_on] else 0.0)
        ]
        places.sort(key=lambda some: some[0])
        return [Slot(rung, min(trials, int(np.ceil(trials * (0.5 + place / 2))))) for place, rung in places]

    def promote(
        self, slot: Slot, seen: Seen, objectives: ObjectiveSet, asks: Callable[[Record], Record | None]
    ) -> Record | None:
        """Return the evaluation with the greatest expected gain; the first of equal ones."""
        measured = [r for r in (*seen.records, *seen.escalated) if r.evaluation is not None and r.answered_from is None]
        candidates = _candidates(slot.rung, seen, measured, objectives, asks)
        if not candidates:
            return None
        losses = np.array([losses_of(r, objectives) for r in measured])
        meeting = [i for i, r in enumerate(measured) if r.feasible]
        front = losses[meeting][non_dominated(losses[meeting])] if meeting else losses[:0]
        shares = shares_of(pairs_of(slot.rung.name, seen.records, seen.escalated), objectives)
        waiting = np.array([losses_of(r, objectives) for r in seen.pending]).reshape(len(seen.pending), losses.shape[1])
        if len(waiting):
            waiting[:, 0] *= 1.0 - expected_share(waiting[:, 0], shares, slot.rung.prior)[0]
            front = np.concatenate([front, waiting])
        starts = np.array([losses_of(r, objectives) for r in candidates])
        share, deviation = expected_share(starts[:, 0], shares, slot.rung.prior)
        after = starts[:, 0] * (1.0 - share)
        gains = expected_gain(front, starts[:, 1:], after, np.maximum(starts[:, 0] * deviation, 1e-6))
        return candidates[int(np.argmax(gains))]


def _even(count: int, phase: float, delay: float) -> list[float]:
    return [delay + (1 - delay) * (i + phase) / count for i in range(count)]


def _candidates(
    rung: Rung,
    seen: Seen,
    measured: Sequence[Record],
    objectives: ObjectiveSet,
    asks: Callable[[Record], Record | None],
) -> list[Record]:
    """What may be escalated, in the order of measured evaluations: affordable, and not escalated so before."""
    tried = {(r.configuration.hash, r.workflow) for r in seen.escalated}
    tried |= {(r.configuration.hash, rung.workflow) for r in seen.pending}
    from_any = measured if rung.rounds else [r for r in measured if r.workflow != rung.workflow]
    affordable = [
        r
        for r in map(asks, from_any)
        if r is not None and (r.configuration.hash, rung.workflow) not in tried and objectives.affordable(r.costs)
    ]
    if rung.rounds:
        return affordable
    built_on = [r for r in affordable if r.workflow == seen.below]
    return built_on or [r for r in affordable if r.workflow == Workflow.DATA_FREE]
