"""The front: the evaluations that no other one dominates."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from palettune.evaluators.quality.evaluation import Evaluation
from palettune.search.experiment.objectives import ObjectiveSet, hypervolume, non_dominated
from palettune.search.results.formatting import encoding_summary
from palettune.search.results.frames import members_frame
from palettune.search.results.intervals import interval
from palettune.search.results.known_latency import KnownLatency
from palettune.search.results.neighbours import alike_pairs, distinct_members
from palettune.search.results.verdicts import MemberVerdict, member_verdict
from palettune.search.study.record import Record
from palettune.space.errors import UserError

if TYPE_CHECKING:
    import pandas

__all__ = ["Front", "Limits", "PickError", "front_of", "is_feasible", "known_values"]


class PickError(UserError):
    """A pick that names no member of the front."""


@dataclass(frozen=True)
class Limits:
    """Upper bounds a picked member must meet; ``None`` is no bound."""

    max_size_mb: float | None = None
    max_latency_ms: float | None = None
    max_divergence: float | None = None

    def meets(self, record: Record, known: KnownLatency) -> bool:
        """Return whether one record is within all bounds, by the latency that is known best."""
        assert record.evaluation is not None
        pairs = (
            (self.max_size_mb, record.costs.get("size_mb")),
            (self.max_latency_ms, known.ms(record)),
            (self.max_divergence, record.evaluation.divergence),
        )
        return all(bound is None or (value is not None and value <= bound) for bound, value in pairs)


@dataclass(frozen=True)
class Front:
    """Members by first cost, smallest first, with the objectives that order them.

    Attributes:
        known: latencies as they are known best; they rank members, and stand beside the predicted ones.
        confirmations: evaluations of members on data that the search never saw, by the record's key.
        recipes: trial of each recipe that the search is compared with, by the recipe's name; on the front or not.
    """

    members: tuple[Record, ...]
    objectives: ObjectiveSet
    known: KnownLatency = field(default_factory=KnownLatency)
    confirmations: Mapping[str, Evaluation] = field(default_factory=dict)
    recipes: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.members)

    def __repr__(self) -> str:
        sizes = [record.costs["size_mb"] for record in self.members]
        reach = f", {min(sizes):.3f} to {max(sizes):.3f} MB, knee: trial {self.knee().trial}" if sizes else ""
        return f"Front({len(self.members)} members{reach})"

    def _repr_html_(self) -> str:
        shown = self.to_frame()
        if "knee" in shown:
            shown["knee"] = ["*" if knee else "" for knee in shown["knee"]]
        if "configuration" in shown:
            shown["configuration"] = [encoding_summary(record.configuration) for record in self.members]
        return f"<p>{self!r}</p>{shown.to_html()}"

    def to_frame(self) -> pandas.DataFrame:
        """Return a row for each member, by trial; see ``members_frame`` for the columns."""
        knee = self.knee() if self.members else None
        frame = members_frame(self.members, knee, self.known, self.confirmations)
        if self.members:
            frame.insert(2, "verdict", [self.verdict(record).value for record in self.members])
        return frame

    def to_json(self) -> list[dict[str, Any]]:
        """Return plain values: an object for each member, smallest first; see ``to_json``."""
        return to_json(self, self.confirmations)

    def losses(self) -> np.ndarray:
        """Return the members' losses, (members, objectives), 0 ideal and 1 the reference."""
        rows = [self.objectives.losses(known_values(r, self.objectives, self.known)) for r in self.members]
        return np.array(rows).reshape(len(rows), len(self.objectives.objectives))

    def knee(self) -> Record:
        """Return the member farthest below the line between the extremes (Das 1999), on the scaled losses.

        Raises:
            PickError: the front is empty.
        """
        self._check_members()
        losses = self.losses()
        span = np.ptp(losses, axis=0)
        scaled = (losses - losses.min(axis=0)) / np.where(span > 0, span, 1.0)
        return self.members[int(scaled.sum(axis=1).argmin())]

    def spread(self, count: int) -> tuple[Record, ...]:
        """Return at most ``count`` members evenly spread along the useful part of the front, ends included.

        Members that paired samples tell apart from their neighbours come first; others only where these are too few.

        The useful part leaves out members that lose more than the knee's quality by far: those whose quality loss is
        above nine tenths of the reference.
        """
        useful = [r for r, loss in zip(self.members, self.losses()[:, 0], strict=True) if loss < 0.9] or list(
            self.members
        )
        distinct = distinct_members(useful) if self.comparable else useful
        if len(distinct) >= count:
            return _evenly(distinct, count)
        chosen = {record.trial for record in distinct}
        chosen |= {r.trial for r in _evenly([r for r in useful if r.trial not in chosen], count - len(distinct))}
        return tuple(record for record in useful if record.trial in chosen)

    @property
    def is_tested(self) -> bool:
        """Whether neighbours are tested: divergences are known sample by sample, a workload's metrics are not."""
        return self.objectives.objectives[0].name == "divergence"

    @property
    def comparable(self) -> bool:
        """Whether members differ in one cost and the divergence alone, so that a smaller one may stand for its like."""
        return len(self.objectives.objectives) == 2 and self.is_tested

    @cached_property
    def alike(self) -> tuple[tuple[Record, Record], ...]:
        """Neighbours, smallest first, whose divergences a paired test on the same samples cannot tell apart."""
        return alike_pairs(self.members) if self.is_tested else ()

    def verdict(self, record: Record) -> MemberVerdict:
        """Compare a member's divergence with the one on data that the search never saw."""
        assert record.evaluation is not None
        return member_verdict(record.evaluation, self.confirmations.get(record.key))

    def pick(self, wanted: Sequence[str], limits: Limits) -> tuple[Record, ...]:
        """Return the members that a user's words pick: ``knee``, ``all``, ``spread:N`` or trial numbers.

        Raises:
            PickError: naming the word or bound, and what there is.
        """
        self._check_members()
        within = replace(self, members=tuple(r for r in self.members if limits.meets(r, self.known)))
        if not within.members:
            raise PickError(f"no member of the front is within the bounds given; {self._bounds()}")
        picked: dict[int, Record] = {}
        for word in wanted:
            picked |= {record.trial: record for record in within._named(word)}
        return tuple(picked.values())

    def _check_members(self) -> None:
        if not self.members:
            raise PickError("the front is empty: no trial met the constraints; run `palettune search` for longer")

    def _bounds(self) -> str:
        smallest = min(record.costs["size_mb"] for record in self.members)
        best = min(r.evaluation.divergence for r in self.members if r.evaluation)
        latencies = [ms for record in self.members if (ms := self.known.ms(record)) is not None]
        fastest = f", to {min(latencies):.3f} ms" if latencies else ""
        return (
            f"the front reaches down to {smallest:.3f} MB{fastest} and to a divergence of {best:.3g}, not all at once"
        )

    def _named(self, word: str) -> Sequence[Record]:
        if word == "all":
            return self.members
        if word == "knee":
            return (self.knee(),)
        kind, _, number = word.partition(":")
        if kind == "spread" and number.isdigit() and int(number) > 0:
            return self.spread(int(number))
        if word.isdigit():
            found = [record for record in self.members if record.trial == int(word)]
            if found:
                return found
            trials = ", ".join(str(record.trial) for record in self.members)
            raise PickError(
                f"--pick {word}: trial {word} is not on the front (within the bounds given); there are {trials}"
            )
        raise PickError(f"--pick {word}: expected `knee`, `all`, `spread:N` or a trial number")


def _evenly(members: Sequence[Record], count: int) -> tuple[Record, ...]:
    """Members at even places, the first and the last included."""
    positions = np.linspace(0, len(members) - 1, min(count, len(members))).round().astype(int)
    return tuple(members[i] for i in dict.fromkeys(int(p) for p in positions))


def front_of(records: Sequence[Record], objectives: ObjectiveSet, known: KnownLatency | None = None) -> Front:
    """Return the non-dominated, feasible evaluations, each configuration once, smallest first.

    Args:
        known: measured latencies, and the model that they taught; trials are ranked by the better of what is known.
    """
    known = known or KnownLatency()
    candidates = [
        r for r in records if r.values is not None and r.answered_from is None and is_feasible(r, objectives, known)
    ]
    if not candidates:
        return Front((), objectives, known)
    values = {r.trial: known_values(r, objectives, known) for r in candidates}
    losses = np.array([_levels(values[r.trial], objectives) for r in candidates])
    members = [r for r, keep in zip(candidates, non_dominated(losses), strict=True) if keep]
    return Front(tuple(sorted(members, key=lambda r: (values[r.trial][1], r.trial))), objectives, known)


def known_values(record: Record, objectives: ObjectiveSet, known: KnownLatency) -> Sequence[float]:
    """Return a record's objective values, with the latency that is known best; empty without a result."""
    if not known.measurements or record.evaluation is None:
        return record.values or ()
    return objectives.values(record.evaluation, known.costs(record))


def is_feasible(record: Record, objectives: ObjectiveSet, known: KnownLatency) -> bool:
    """Return whether an evaluation meets every constraint, by the latency that is known best."""
    if not known.measurements or record.evaluation is None:
        return record.feasible
    return all(value <= 0 for value in objectives.violations(record.evaluation, known.costs(record)))


def _levels(values: Sequence[float], objectives: ObjectiveSet) -> list[float]:
    return [objective.level(value) for value, objective in zip(values, objectives.objectives, strict=True)]


def hypervolume_of(records: Sequence[Record], objectives: ObjectiveSet) -> float:
    """Return the hypervolume of the feasible evaluations among some records, in [0, 1]."""
    rows = [objectives.losses(r.values) for r in records if r.values is not None and r.feasible]
    return hypervolume(np.array(rows).reshape(len(rows), len(objectives.objectives)))


def to_json(front: Front, confirmations: Mapping[str, Evaluation] | None = None) -> list[dict[str, Any]]:
    """Return the front as plain values: one object per member, smallest first.

    ``latency_ms`` is predicted, ``calibrated_latency_ms`` predicted by the model that measurements taught, and
    ``measured_latency_ms`` measured, with ``measurement`` for how; each ``None`` where it is not known.
    ``verdict`` says whether the divergence holds on unseen data, and ``not_told_apart_from`` names the next larger member
    where a paired test cannot tell the two apart.
    """
    judged = replace(front, confirmations=confirmations or {})
    alike = {first.trial: second.trial for first, second in front.alike}
    knee = front.knee() if front.members else None
    return [
        _member_json(r, r is knee, judged.confirmations.get(r.key), front.known)
        | {"verdict": judged.verdict(r).value, "not_told_apart_from": alike.get(r.trial)}
        for r in front.members
    ]


def _member_json(record: Record, knee: bool, confirmed: Evaluation | None, known: KnownLatency) -> dict[str, Any]:
    evaluation = record.evaluation
    assert evaluation is not None
    measured = known.measured(record)
    return {
        "trial": record.trial,
        "knee": knee,
        "workflow": record.workflow,
        "escalated_from": record.escalated_from,
        "size_mb": record.costs.get("size_mb"),
        "latency_ms": record.costs.get("latency_ms"),
        "calibrated_latency_ms": known.calibrated(record),
        "measured_latency_ms": measured and measured.median_ms,
        "measurement": measured and json.loads(measured.to_json()),
        "divergence": evaluation.divergence,
        "divergence_interval_95": interval(evaluation),
        "metrics": dict(evaluation.metrics),
        "confirmation": confirmed
        and {
            "divergence": confirmed.divergence,
            "divergence_interval_95": interval(confirmed),
            "metrics": dict(confirmed.metrics),
        },
        "configuration": record.configuration.to_values(),
    }
