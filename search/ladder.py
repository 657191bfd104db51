"""The ladder: promising evaluations climb to calibration and fine-tuning while the data-free search goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from evaluators.evaluation import Workflow
from evaluators.workflow import registry
from search.climb import Climb, Climbed
from search.experiment import ExperimentError
from search.objectives import ObjectiveSet
from search.preparation import Preparation
from search.promotion import Slot, promote, schedule, verdicts
from search.study import Record, SearchStudy
from search.workers import Finished, WorkerPool

__all__ = ["Ladder", "check_ladder"]


def check_ladder(preparation: Preparation) -> None:
    """Refuse, before anything starts, a rung that the workload does not allow.

    Raises:
        ExperimentError: naming the key and what the workload lacks.
    """
    asked = {
        Workflow.CALIBRATION: preparation.experiment.ladder.calibration,
        Workflow.FINE_TUNING: preparation.experiment.ladder.fine_tuning,
    }
    for workflow, count in asked.items():
        lacking = registry()[workflow.value].missing(preparation.workload) if count else None
        if lacking is not None:
            raise ExperimentError(f"ladder.{workflow.value} = {count}: {lacking}; or leave the key out")


class Ladder:
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
        self._slots = schedule(experiment.ladder, experiment.budget.trials)
        self._window = experiment.ladder.in_flight
        self._deadline = time.monotonic() + experiment.ladder.minutes * 60 if experiment.ladder.minutes else None
        self.climbed: list[Record] = []
        self._ended = self._exhausted = False
        self._said: set[str] = set()
        self._climbs = study.climbs()
        self._tell(quietly=True)
        for climb in self._climbs:
            if climb.result is None:
                self._submit(climb)

    def poll(self) -> None:
        """Decide what is due and take in what has arrived; never waits."""
        for pool in self._pools.values():
            pool.poll()
        self._tell()
        while self._due():
            self._decide(self._slots[len(self._climbs)])

    def finish(self, stop: Callable[[], bool]) -> None:
        """The data-free search is over: decide and wait for the rest."""
        self._ended = True
        while not stop():
            self.poll()
            if len(self.climbed) == len(self._climbs) and not self._due():
                return
            time.sleep(0.1)

    @property
    def left(self) -> int:
        """Climbs that are under way or still to be decided."""
        wanted = len(self._climbs) if self._late() or self._exhausted else max(len(self._slots), len(self._climbs))
        return wanted - len(self.climbed)

    # -- deciding -----------------------------------------------------------------------------------------------

    def _due(self) -> bool:
        number = len(self._climbs)
        if self._exhausted or number >= len(self._slots) or number - len(self.climbed) >= self._window or self._late():
            return False
        return self._ended or self._count() >= self._slots[number].after

    def _late(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    def _count(self) -> int:
        return sum(record.answered_from is None for record in self._records)

    def _decide(self, slot: Slot) -> None:
        told = self.climbed[: max(0, slot.number - self._window + 1)]
        waiting = [climb for climb in self._climbs[len(told) :] if climb.workflow is slot.workflow]
        calibrates = bool(self._preparation.experiment.ladder.calibration)
        source = promote(
            slot.workflow,
            self._until(slot),
            told,
            [self._source(climb) for climb in waiting],
            self._objectives,
            Workflow.CALIBRATION if slot.workflow is Workflow.FINE_TUNING and calibrates else Workflow.DATA_FREE,
        )
        if source is None:
            self._exhausted = True
            return
        climb = Climb(len(self._climbs), slot.workflow, source.trial)
        self._climbs.append(climb)
        self._study.keep_climb(climb)
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

    def _source(self, climb: Climb) -> Record:
        return next(r for r in (*self._records, *self.climbed) if r.trial == climb.source)

    # -- doing --------------------------------------------------------------------------------------------------

    def _submit(self, climb: Climb) -> None:
        source = self._source(climb)
        start = None
        if source.state is not None and source.evaluation is not None:
            start = (source.evaluation.to_json(), source.state)

        def arrived(answer: Finished) -> None:
            finished = climb.finished(answer.result, answer.span)
            self._study.keep_climb(finished)
            self._climbs[climb.number] = finished

        self._pools[climb.workflow].submit(
            climb.trial, "climb", climb.workflow.value, source.configuration.to_json(), start, deliver=arrived
        )

    def _tell(self, quietly: bool = False) -> None:
        """Tell finished climbs, in order."""
        while len(self.climbed) < len(self._climbs):
            climb = self._climbs[len(self.climbed)]
            if climb.result is None:
                return
            record = self._study.climb_record(climb, self._source(climb))
            self.climbed.append(record)
            if quietly:
                continue
            self._told(record)
            for note in climb.result.notes if isinstance(climb.result, Climbed) else ():
                self._say(note)
            for rung, facts in verdicts(self._records, self.climbed, self._objectives).items():
                if not facts["pays"]:
                    self._say(
                        f"{rung}: {facts['climbs']:.0f} climbs have grown the hypervolume by less than a thousandth: "
                        f"it does not pay here; lower ladder.{rung}"
                    )

    def _say(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            self._warn(words)
