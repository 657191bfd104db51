"""The evaluations of a search for its page: what was measured of each, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from palettune.evaluators.quality.evaluation import Evaluation
from palettune.evaluators.quality.gain import Gain
from palettune.evaluators.sensitivity.scores import Column
from palettune.search.experiment.objectives import MEGABYTE
from palettune.search.experiment.rungs.result_words import result_words
from palettune.search.proposing.score_level import ScoreLevel
from palettune.search.results.front import Front, is_feasible
from palettune.search.results.intervals import interval
from palettune.search.results.known_latency import KnownLatency
from palettune.search.results.neighbours import paired_test
from palettune.search.results.verdicts import MemberVerdict, member_verdict
from palettune.search.review.constraint_rows import broken_constraints
from palettune.search.review.encoding_table import EncodingTable, rounded_inputs, spelt
from palettune.search.review.figures import figure, figures
from palettune.search.review.search_clock import SearchClock
from palettune.search.study.record import Record
from palettune.space.search_space import SearchSpace

__all__ = ["TrialRows", "gain_rows", "status_of"]

_PRECISE = 9
"""Digits of what the page compares with budgets or adds up, so that it answers as ``solve`` does."""
_UNIFORM = "uniform "


@dataclass
class TrialRows:
    """Rows of one search's evaluations.

    Attributes:
        losses: of ``losses_of_columns``; nothing without scores.
        rest_bytes: of everything in the weight file that is no layer's weight.
        level: taught by the records that have a row by now.
    """

    space: SearchSpace
    table: EncodingTable
    front: Front
    clock: SearchClock
    losses: Mapping[Column, float]
    rest_bytes: int
    level: ScoreLevel = field(default_factory=ScoreLevel)

    def __post_init__(self) -> None:
        self._names = [layer.name for layer in self.space.layers]
        self._weights = sum(layer.parameters for layer in self.space.layers) or 1
        self._members = {record.trial: place for place, record in enumerate(self.front.members)}
        self._recipes = {trial: name for name, trial in self.front.recipes.items()}
        self._confirmed = {key.partition(":")[0] for key in self.front.confirmations}
        self._layers = np.arange(len(self._names))
        self._by_place = self._table_of_losses()

    def _table_of_losses(self) -> np.ndarray:
        """(layers, encodings) predicted divergences; not a number where there is no score."""
        found = np.full((len(self._names), len(self.table.rows())), np.nan)
        rows = {name: row for row, name in enumerate(self._names)}
        for (name, encoding), loss in self.losses.items():
            found[rows[name], self.table.place(encoding)] = loss
        return found

    def rows(self, records: Sequence[Record]) -> list[dict[str, Any]]:
        """Return a row for each record, by trial.

        Args:
            records: in the order in which they were told, each of which learns from those before it.
        """
        return sorted((self._row(record) for record in records), key=lambda row: int(row["trial"]))

    def _row(self, record: Record) -> dict[str, Any]:
        places = self.table.places(record.configuration, self._names)
        loss = figure(float(self._by_place[self._layers, places].sum()), _PRECISE)
        return {
            "trial": record.trial,
            "workflow": record.workflow,
            "rung": record.rung,
            "found": result_words(record.workflow, record.rung),
            "origin": record.origin,
            **self._what_became(record),
            "escalated_from": record.escalated_from,
            "baseline": _baseline(record),
            "recipe": self._recipes.get(record.trial),
            **self._costs(record),
            **self._quality(record),
            "configuration": spelt(places),
            "activations": rounded_inputs(record.configuration, self._names),
            "gains": gain_rows(record.gains),
            "span": [figure(self.clock.at(moment)) for moment in record.span],
            "loss": loss,
            "predicted": figure(self._predicted(record, loss)),
        }

    def _what_became(self, record: Record) -> dict[str, Any]:
        """The status, and its reason in words where it has one."""
        status, reason = status_of(record, self.front)
        return {"status": status, "reason": reason}

    def _costs(self, record: Record) -> dict[str, Any]:
        known: KnownLatency = self.front.known
        size = record.costs.get("size_mb")
        measured = known.measured(record) if known.measurements else None
        stored = None if size is None else round(size * MEGABYTE)
        return {
            "size_mb": figure(size, _PRECISE),
            "weight_bytes": stored,
            "bits_per_weight": None if stored is None else figure(8 * (stored - self.rest_bytes) / self._weights),
            "latency_ms": figure(record.costs.get("latency_ms"), _PRECISE),
            "measured_latency_ms": figure(measured.median_ms) if measured is not None else None,
            "known_latency_ms": figure(known.ms(record), _PRECISE) if known.measurements else None,
        }

    def _quality(self, record: Record) -> dict[str, Any]:
        found, unseen = record.evaluation, self._unseen(record)
        ends = interval(found) if found is not None else None
        return {
            **_measured(found, ends),
            "unseen": None if unseen is None else _measured(unseen, interval(unseen)),
            "verdict": _verdict(found, unseen),
            "distinct_from_next": self._distinct(record),
        }

    def _unseen(self, record: Record) -> Evaluation | None:
        """What a record gave on unseen data; its own hash, which takes long, is asked for only where it may be there."""
        known = record.evaluation is not None and record.evaluation.configuration_hash in self._confirmed
        return self.front.confirmations.get(record.key) if known else None

    def _distinct(self, record: Record) -> bool | None:
        """Whether a member is told apart from the next larger one; ``None`` elsewhere, and where nothing can tell."""
        place = self._members.get(record.trial)
        if place is None or place + 1 == len(self.front.members) or not self.front.is_tested:
            return None
        return paired_test(record, self.front.members[place + 1])

    def _predicted(self, record: Record, loss: float | None) -> float | None:
        """What the scores and the evaluations before this one let expect of it, which it then teaches in turn."""
        if loss is None or record.escalated_from is not None or record.answered_from is not None:
            return None
        expected = self.level.divergence(loss)
        if record.evaluation is not None:
            self.level.add(loss, record.evaluation.divergence)
        return expected


def status_of(record: Record, front: Front) -> tuple[str, str | None]:
    """Return the status of an evaluation, and the reason for it."""
    if record.failure is not None:
        return "failed", str(record.failure)
    if record.screened is not None:
        return "screened", str(record.screened)
    if record.answered_from is not None:
        return "repeat", f"the same configuration as trial {record.answered_from}"
    if any(member.trial == record.trial for member in front.members):
        return "front", None
    if is_feasible(record, front.objectives, front.known):
        return "dominated", None
    constraints, costs = front.objectives.constraints, front.known.costs(record)
    broken = broken_constraints(constraints, record.evaluation, costs) if record.evaluation is not None else []
    return "infeasible", "; ".join(broken) or "a constraint is not met"


def gain_rows(gains: Sequence[Gain]) -> list[dict[str, Any]]:
    """Return the gain of each method of an escalation; of a method tried layer by layer, how many kept it."""
    by_method: dict[str, list[Gain]] = {}
    for gain in gains:
        by_method.setdefault(gain.method, []).append(gain)
    return [_gain_row(method, found) for method, found in by_method.items()]


def _gain_row(method: str, gains: Sequence[Gain]) -> dict[str, Any]:
    whole = next((gain for gain in gains if gain.layer is None), None)
    layers = [gain for gain in gains if gain.layer is not None]
    before, after = figures((whole.before, whole.after)) if whole is not None else (None, None)
    return {
        "method": method,
        "divergence_before": before,
        "divergence_after": after,
        "kept": whole.kept if whole is not None else any(gain.kept for gain in layers),
        "layers": sum(gain.kept for gain in layers),
        "tried": len(layers),
    }


def _baseline(record: Record) -> str | None:
    """The encoding of a uniform configuration, which is what is done by hand."""
    uniform = record.escalated_from is None and record.origin.startswith(_UNIFORM)
    return record.origin.removeprefix(_UNIFORM) if uniform else None


def _measured(evaluation: Evaluation | None, ends: tuple[float, float] | None) -> dict[str, Any]:
    low, high = ends or (None, None)
    metrics = evaluation.metrics if evaluation is not None else {}
    return {
        "divergence": figure(evaluation.divergence) if evaluation is not None else None,
        "low": figure(low),
        "high": figure(high),
        "metrics": {name: figure(value) for name, value in metrics.items()},
    }


def _verdict(seen: Evaluation | None, unseen: Evaluation | None) -> str:
    """The verdict in one word: holds, above, unsure or unchecked."""
    verdict = member_verdict(seen, unseen) if seen is not None else MemberVerdict.UNCHECKED
    return verdict.name.lower()
