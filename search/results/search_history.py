"""The history of a search: everything evaluated so far, in the order in which it was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from palettune.device_bench.cost.latency_model import LatencyModel
from palettune.device_bench.measurement.measurement import Measurement
from palettune.evaluators.quality.evaluation import Evaluation
from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.objectives import ObjectiveSet
from palettune.search.results.front import Front, front_of
from palettune.search.results.known_latency import known_latency
from palettune.search.results.search_metrics import SearchMetrics
from palettune.search.study.record import Record
from palettune.search.study.study import SearchStudy

__all__ = ["HistoryStep", "SearchHistory"]


@dataclass(frozen=True)
class HistoryStep:
    """One evaluation told, and the metrics of the whole search after it (``hypervolume``, rank correlation)."""

    record: Record
    metrics: Mapping[str, float]


class SearchHistory:
    """Results of a search so far: extended by the search, read by observers.

    Args:
        study: whose finished trials and escalations the history begins with.
        scores: the saved scores, whose ranking is compared with what is measured; ``None`` where there are none.
        latency: the model of the experiment's device; ``None`` without one.

    Attributes:
        trials: every finished data-free trial, by number.
        escalations: every finished escalation, in order.
        added: every trial that was added to the study, in order.
        steps: all of them, in the order in which they were told.
    """

    def __init__(
        self,
        experiment: Experiment,
        study: SearchStudy,
        objectives: ObjectiveSet,
        scores: Scores | None = None,
        latency: LatencyModel | None = None,
    ) -> None:
        self.experiment, self.study, self.objectives, self.scores = experiment, study, objectives, scores
        self.latency = latency
        self.trials: list[Record] = []
        self.escalations: list[Record] = []
        self.added: list[Record] = []
        self.steps: list[HistoryStep] = []
        self._metrics = SearchMetrics(objectives, scores)
        self._front: Front | None = None
        for record in study.evaluations():
            self.add(record)
        self.known = known_latency(latency, self.records, study.measurements())

    def add(self, record: Record) -> None:
        """Take in one finished trial or escalation."""
        self._kind(record).append(record)
        self.steps.append(HistoryStep(record, self._metrics.add(record)))
        self._front = None

    def _kind(self, record: Record) -> list[Record]:
        if record.added:
            return self.added
        return self.trials if record.escalated_from is None else self.escalations

    def learn_latencies(self) -> None:
        """Take in what was measured on the device since."""
        self.known = known_latency(self.latency, self.records, self.study.measurements())
        self._front = None

    @property
    def records(self) -> Sequence[Record]:
        """Every finished evaluation, in the order in which it was told."""
        return [step.record for step in self.steps]

    @property
    def evaluated(self) -> int:
        """Trials that were evaluated, not answered from an earlier one of the same configuration."""
        return sum(record.answered_from is None for record in self.trials)

    @property
    def hypervolume(self) -> float:
        """Of everything so far, in [0, 1]."""
        return self._metrics.hypervolume

    @property
    def front(self) -> Front:
        """The front by now, ranked by what is known best of latencies."""
        if self._front is None:
            self._front = front_of(self.records, self.objectives, self.known)
        return self._front

    @property
    def confirmations(self) -> Mapping[str, Evaluation]:
        """Members measured on data that the search never saw, by the record's key."""
        return self.study.confirmations()

    def measured(self) -> Sequence[tuple[Record, Measurement]]:
        """Return the measured latencies, each with the first record of its configuration."""
        first = {r.configuration.hash: r for r in reversed(self.records) if r.answered_from is None}
        return [(first[key], found) for key, found in self.known.measurements.items() if key in first]

    def stagnation(self) -> str | None:
        """Say once when the last trials have hardly moved the front."""
        return self._metrics.stagnation()
