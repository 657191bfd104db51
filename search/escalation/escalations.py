"""Escalations: promising evaluations go to calibration and fine-tuning while the data-free search goes on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.escalation.int8_activations import with_int8_activations
from palettune.search.escalation.promotion import GreatestGain, Promotion, Seen, Slot
from palettune.search.experiment.experiment import ExperimentError
from palettune.search.experiment.objectives import ObjectiveSet
from palettune.search.preparation.preparation import Preparation
from palettune.search.results.escalation_gains import verdicts
from palettune.search.study.escalation import Escalation, EscalationOrder, EscalationResult
from palettune.search.study.record import Record
from palettune.search.study.study import SearchStudy
from palettune.search.workers.evaluations import Evaluations, Pending
from palettune.search.workers.requests import Escalate

__all__ = ["Escalations", "check_escalation"]


def check_escalation(preparation: Preparation) -> None:
    """Refuse, before anything starts, a rung that the workload does not allow.

    Raises:
        ExperimentError: naming the key and what the workload lacks.
    """
    for rung in preparation.experiment.escalation.asked:
        lacking = rung.missing(preparation.workload)
        if lacking is not None:
            raise ExperimentError(f"escalation.{rung.name} = {rung.count}: {lacking}; or leave the key out")


def _as_it_is(record: Record) -> Record:
    return record


class Escalations:
    """Escalations of a search: decided, handed to workers, and told.

    Decisions are taken in the order of the schedule, each from the data-free evaluations told before its slot and from
    all escalations but the last few: neither depends on how fast workers are. Everything decided or answered is
    written to the study at once; what was under way when a search was killed is begun again, under its own number.

    Args:
        records: the data-free evaluations, grown by the loop as they are told.
        evaluations: who calibrates and trains.
        promotion: decides when something is escalated, and what.

    Attributes:
        finished: escalations told so far, in the order in which they were decided.
    """

    def __init__(
        self,
        preparation: Preparation,
        study: SearchStudy,
        objectives: ObjectiveSet,
        records: Sequence[Record],
        evaluations: Evaluations,
        warn: Callable[[str], None],
        promotion: Promotion | None = None,
    ) -> None:
        experiment = preparation.experiment
        self._settings, self._trials, self._objectives = experiment.escalation, study.escalations, objectives
        self._records, self._evaluations, self._warn = records, evaluations, warn
        self._pending: dict[int, Pending[EscalationResult]] = {}  # by place among those decided
        self._promotion = promotion or GreatestGain()
        self._slots = self._promotion.schedule(self._settings, experiment.budget.trials)
        rounded = any(rung.rounds for rung in self._settings.asked)
        self._rounded = with_int8_activations(preparation) if rounded else None
        minutes = self._settings.minutes
        self._deadline = time.monotonic() + minutes * 60 if minutes else None
        self.finished: list[Record] = []
        self._ended = False
        self._passed = Counter(self._trials.passed_slots())  # by rung, turns at which there was nothing to escalate
        self._said: set[str] = set()
        for note in self._trials.notes():
            self._say(note)
        self._trials.give_up()
        self._decided = self._trials.present()
        self._take_up()

    def poll(self) -> Iterator[Record]:
        """Give the escalations that are finished, in order, and decide what is due; never waits."""
        self._take_in()
        yield from self._tell()
        while (slot := self._due()) is not None:
            self._decide(slot)

    def end_of_trials(self) -> None:
        """Decide the remaining slots without waiting: no further data-free evaluation will come."""
        self._ended = True

    @property
    def left(self) -> int:
        """Escalations that are under way or still to be decided."""
        coming = 0 if self._late() else len(self._open())
        return len(self._decided) + coming - len(self.finished)

    def _take_up(self) -> None:
        """Go on from what the study holds: what was told is finished, what has no result is begun again."""
        for escalation in self._decided:
            if escalation.told_at is None:
                break
            self.finished.append(self._trials.record(escalation))
        for place, escalation in enumerate(self._decided):
            if escalation.result is None:
                self._submit(place)

    # -- deciding -----------------------------------------------------------------------------------------------

    def _due(self) -> Slot | None:
        """The next escalation to be decided, if it may be by now."""
        if len(self._decided) - len(self.finished) >= self._settings.in_flight or self._late():
            return None
        slot = next(iter(self._open()), None)
        return slot if slot is not None and (self._ended or self._evaluated() >= slot.after) else None

    def _open(self) -> list[Slot]:
        """What is still to be decided: of each rung as many as were asked for beyond those decided or passed."""
        used = self._passed + Counter(escalation.rung for escalation in self._decided)
        left = []
        for slot in self._slots:
            if used[slot.rung.name]:
                used[slot.rung.name] -= 1
            else:
                left.append(slot)
        return left

    def _late(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    def _evaluated(self) -> int:
        return sum(record.answered_from is None for record in self._records)

    def _decide(self, slot: Slot) -> None:
        rung = slot.rung
        told = self.finished[: max(0, len(self._decided) - self._settings.in_flight + 1)]
        waiting = [escalation for escalation in self._decided[len(told) :] if escalation.rung == rung.name]
        below = self._settings.rung(rung.builds_on) if rung.builds_on else None
        seen = Seen(
            self._until(slot),
            told,
            [self._asked(escalation) for escalation in waiting],
            below.workflow if below is not None and below.count else Workflow.DATA_FREE,
        )
        asks = self._rounded if rung.rounds and self._rounded is not None else _as_it_is
        source = self._promotion.promote(slot, seen, self._objectives, asks)
        if source is None:
            self._pass(rung.name)
            return
        self._decided.append(self._trials.decide(rung, source))
        self._submit(len(self._decided) - 1)

    def _pass(self, rung: str) -> None:
        """Pass a turn; those after the last trial are open again when the search goes on with more trials."""
        self._passed[rung] += 1
        if not self._ended:
            self._trials.pass_slot(rung)

    def _until(self, slot: Slot) -> list[Record]:
        """The data-free evaluations that the decision may see."""
        seen, records = 0, []
        for record in self._records:
            if seen >= slot.after:
                break
            records.append(record)
            seen += record.answered_from is None
        return records

    def _source(self, escalation: Escalation) -> Record:
        """The evaluation that an escalation begins from."""
        return next(r for r in (*self._records, *self.finished) if r.trial == escalation.source)

    def _asked(self, escalation: Escalation) -> Record:
        """The same with the configuration and the costs that the escalation asks for."""
        return replace(self._source(escalation), configuration=escalation.configuration, costs=escalation.costs)

    # -- doing --------------------------------------------------------------------------------------------------

    def _submit(self, place: int) -> None:
        escalation = self._decided[place]
        request = Escalate(escalation.workflow, self._order(escalation))
        self._pending[place] = self._evaluations.submit(request)

    def _take_in(self) -> None:
        """Write down what has been answered."""
        for place, pending in list(self._pending.items()):
            if pending.answer is not None:
                del self._pending[place]
                self._decided[place] = self._decided[place].answered(pending.answer.result, pending.answer.span)
                self._trials.keep(self._decided[place])

    def _order(self, escalation: Escalation) -> EscalationOrder:
        """What a worker is asked for, with what it begins from, which it makes again where its file is gone."""
        start = next((e for e in self._decided if e.trial == escalation.source), None)
        if start is None or not isinstance(start.result, EscalationResult):
            return EscalationOrder(escalation.rung, escalation.configuration)
        return EscalationOrder(
            escalation.rung, escalation.configuration, self._order(start), start.result.state, start.result.evaluation
        )

    def _tell(self) -> Iterator[Record]:
        """Tell finished escalations, in order."""
        while len(self.finished) < len(self._decided):
            escalation = self._decided[len(self.finished)]
            if escalation.result is None:
                return
            record = self._trials.tell(escalation)
            self.finished.append(record)
            yield record
            for note in escalation.result.notes if isinstance(escalation.result, EscalationResult) else ():
                self._say(note)
            for rung, facts in verdicts(self._records, self.finished, self._objectives).items():
                if not facts["pays"]:
                    self._say(
                        f"{rung}: {facts['escalations']:.0f} escalations have grown the hypervolume by less than a "
                        f"thousandth: the rung does not pay here; lower escalation.{rung}"
                    )

    def _say(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            self._warn(words)
