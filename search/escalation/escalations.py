"""The ladder: promising evaluations climb to calibration and fine-tuning while the data-free search goes on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from palettune.evaluators.quality.evaluation import Workflow
from palettune.evaluators.workflows import registry
from palettune.search.escalation.int8_activations import activation_rung
from palettune.search.escalation.promotion import Slot, promote, rung_of, schedule, verdicts
from palettune.search.experiment.experiment import ExperimentError
from palettune.search.experiment.objectives import ObjectiveSet
from palettune.search.preparation.preparation import Preparation
from palettune.search.study.escalation import Escalation, EscalationResult
from palettune.search.study.record import Record, asked_of
from palettune.search.study.study import SearchStudy
from palettune.search.workers.worker_pool import Finished, WorkerPool

__all__ = ["Escalations", "check_escalation"]


def _never(_record: Record) -> None:
    """No evaluation has its activations in 8 bits."""


def _rung(climb: Escalation) -> str:
    return rung_of(climb.workflow, climb.configuration is not None)


def check_escalation(preparation: Preparation) -> None:
    """Refuse, before anything starts, a rung that the workload does not allow.

    Raises:
        ExperimentError: naming the key and what the workload lacks.
    """
    ladder = preparation.experiment.escalation
    for slot in schedule(ladder, preparation.experiment.budget.trials):
        lacking = registry()[slot.workflow.value].missing(preparation.workload)
        if lacking is not None:
            raise ExperimentError(
                f"escalation.{slot.rung} = {getattr(ladder, slot.rung)}: {lacking}; or leave the key out"
            )


class Escalations:
    """Decides climbs, has them done, and keeps what became of them.

    Decisions are taken in the order of the schedule, each from the data-free evaluations told before its slot and from
    all climbs but the last few: neither depends on how fast workers are. Everything decided or answered is written to
    the study at once; what was under way when a search was killed is begun again.

    Args:
        records: the data-free evaluations, grown by the loop as they are told.
        pools: the workers of each workflow.
        told: called with each finished climb, in order.
    """

    def __init__(
        self,
        preparation: Preparation,
        study: SearchStudy,
        objectives: ObjectiveSet,
        records: Sequence[Record],
        pools: Mapping[Workflow, WorkerPool],
        told: Callable[[Record], None],
        warn: Callable[[str], None],
    ) -> None:
        experiment = preparation.experiment
        self._preparation, self._study, self._objectives = preparation, study, objectives
        self._records, self._pools, self._told, self._warn = records, pools, told, warn
        self._slots = schedule(experiment.escalation, experiment.budget.trials)
        self._rounded = activation_rung(preparation) if experiment.escalation.int8_activations else _never
        self._window = experiment.escalation.in_flight
        self._deadline = (
            time.monotonic() + experiment.escalation.minutes * 60 if experiment.escalation.minutes else None
        )
        self.finished: list[Record] = []
        self._ended = False
        self._exhausted: set[str] = set()  # rungs that nothing is left for
        self._said: set[str] = set()
        self._climbs = study.escalations()
        self._tell(quietly=True)
        for climb in self._climbs:
            if climb.result is None:
                self._submit(climb)

    def poll(self) -> None:
        """Decide what is due and take in what has arrived; never waits."""
        for pool in dict.fromkeys(self._pools.values()):  # workflows may share one
            pool.poll()
        self._tell()
        while (slot := self._due()) is not None:
            self._decide(slot)

    def finish(self, stop: Callable[[], bool]) -> None:
        """The data-free search is over: decide and wait for the rest."""
        self._ended = True
        while not stop():
            self.poll()
            if len(self.finished) == len(self._climbs) and self._due() is None:
                return
            time.sleep(0.1)

    @property
    def left(self) -> int:
        """Climbs that are under way or still to be decided."""
        coming = 0 if self._late() else len(self._open())
        return len(self._climbs) + coming - len(self.finished)

    # -- deciding -----------------------------------------------------------------------------------------------

    def _due(self) -> Slot | None:
        """The next climb to be decided, if it may be by now."""
        if len(self._climbs) - len(self.finished) >= self._window or self._late():
            return None
        slot = next(iter(self._open()), None)
        return slot if slot is not None and (self._ended or self._evaluated() >= slot.after) else None

    def _open(self) -> list[Slot]:
        """What is still to be decided: of each rung as many as were asked for beyond those decided."""
        decided = Counter(_rung(climb) for climb in self._climbs)
        left = []
        for slot in self._slots:
            if decided[slot.rung]:
                decided[slot.rung] -= 1
            elif slot.rung not in self._exhausted:
                left.append(slot)
        return left

    def _late(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    def _evaluated(self) -> int:
        return sum(record.answered_from is None for record in self._records)

    def _decide(self, slot: Slot) -> None:
        told = self.finished[: max(0, len(self._climbs) - self._window + 1)]
        waiting = [climb for climb in self._climbs[len(told) :] if _rung(climb) == slot.rung]
        calibrates = bool(self._preparation.experiment.escalation.calibration)
        source = promote(
            slot,
            self._until(slot),
            told,
            [self._source(climb) for climb in waiting],
            self._objectives,
            Workflow.CALIBRATION if slot.workflow is Workflow.FINE_TUNING and calibrates else Workflow.DATA_FREE,
            self._rounded,
        )
        if source is None:
            self._exhausted.add(slot.rung)
            return
        climb = Escalation(len(self._climbs), slot.workflow, source.trial)
        if slot.rounds:
            climb = replace(climb, configuration=source.configuration, costs=source.costs)
        self._climbs.append(climb)
        self._study.keep_escalation(climb)
        self._submit(climb)

    def _until(self, slot: Slot) -> list[Record]:
        """The data-free evaluations that the decision may see."""
        seen, records = 0, []
        for record in self._records:
            if seen >= slot.after:
                break
            records.append(record)
            seen += record.answered_from is None
        return records

    def _source(self, climb: Escalation) -> Record:
        """The evaluation that a climb begins from, with the configuration and the costs that it asks for."""
        return asked_of(climb, next(r for r in (*self._records, *self.finished) if r.trial == climb.source))

    # -- doing --------------------------------------------------------------------------------------------------

    def _submit(self, climb: Escalation) -> None:
        source = self._source(climb)
        start = None
        if source.state is not None and source.evaluation is not None:
            start = (source.evaluation.to_json(), source.state)

        def arrived(answer: Finished) -> None:
            finished = climb.finished(answer.result, answer.span)
            self._study.keep_escalation(finished)
            self._climbs[climb.number] = finished

        self._pools[climb.workflow].submit(
            climb.trial, "escalate", climb.workflow.value, source.configuration.to_json(), start, deliver=arrived
        )

    def _tell(self, quietly: bool = False) -> None:
        """Tell finished climbs, in order."""
        while len(self.finished) < len(self._climbs):
            climb = self._climbs[len(self.finished)]
            if climb.result is None:
                return
            record = self._study.escalation_record(climb, self._source(climb))
            self.finished.append(record)
            if quietly:
                continue
            self._told(record)
            for note in climb.result.notes if isinstance(climb.result, EscalationResult) else ():
                self._say(note)
            for rung, facts in verdicts(self._records, self.finished, self._objectives).items():
                if not facts["pays"]:
                    self._say(
                        f"{rung}: {facts['climbs']:.0f} climbs have grown the hypervolume by less than a thousandth: "
                        f"it does not pay here; lower escalation.{rung}"
                    )

    def _say(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            self._warn(words)
