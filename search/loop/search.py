"""A search: trials, and beside them escalations and measurements, until the budget is spent."""

from __future__ import annotations

from collections.abc import Callable

from palettune.device_bench.measurement.measurement import Measurement
from palettune.search.escalation.escalations import Escalations
from palettune.search.loop.confirmation import confirm_members, members_to_confirm
from palettune.search.loop.trials import Trials
from palettune.search.on_device.device_measurements import DeviceMeasurements
from palettune.search.results.ending import Ending
from palettune.search.results.observer import SearchObserver
from palettune.search.results.search_history import SearchHistory
from palettune.search.study.record import Record
from palettune.search.workers.evaluations import Evaluations, never

__all__ = ["Search", "never"]

_WAIT = 0.2
"""Seconds after which the loop looks around though no evaluation has ended."""


class Search:
    """One search, driven from its first trial to its end.

    Args:
        history: what was found before, and takes in what is found.
        evaluations: who evaluates.
        trials: the data-free trials.
        escalations: decides and keeps what goes on to a dearer workflow; ``None`` for nothing.
        measurements: has configurations measured on a device; ``None`` without one.
        observer: hears what happens.
        stop: asked several times a second; true ends the search at once, and what is in flight stays RUNNING in the
            study, so that it can be gone on with.
        confirm: members of the front to be confirmed on data that the search never saw.
        beside: evaluates what is compared with the search, before its first trial.
    """

    def __init__(
        self,
        history: SearchHistory,
        evaluations: Evaluations,
        trials: Trials,
        *,
        escalations: Escalations | None = None,
        measurements: DeviceMeasurements | None = None,
        observer: SearchObserver | None = None,
        stop: Callable[[], bool] = never,
        confirm: int = 0,
        beside: Callable[[], object] = never,
    ) -> None:
        self._history, self._evaluations, self._trials = history, evaluations, trials
        self._escalations, self._measurements = escalations, measurements
        self._observer = observer or SearchObserver()
        self._stop, self._confirm, self._beside = stop, confirm, beside

    def run(self) -> Ending:
        """Go on from what the study holds, to the end."""
        ending = Ending.FAILED
        self._observer.on_search_started(self._history)
        try:
            ending = self._run_to_the_end()
        except KeyboardInterrupt:
            ending = Ending.INTERRUPTED
            raise
        finally:
            if self._measurements is not None:
                self._measurements.close()
            self._observer.on_finished(ending, self._history)
        return ending

    def _run_to_the_end(self) -> Ending:
        self._beside()
        ending = self._run_trials()
        if ending.complete:
            self._finish_escalations()
            self._measure_front()
            self._confirm_front()
        return Ending.STOPPED if self._stop() else ending

    # -- stages -------------------------------------------------------------------------------------------------

    def _run_trials(self) -> Ending:
        """Trials until the budget is spent; escalations and measurements go on beside them."""
        self._trials.resume()
        while self._trials.fill():
            if self._stop():
                return Ending.STOPPED
            if self._trials.waiting:
                self._evaluations.wait(_WAIT)
            for record in self._trials.finished():
                self._on_trial(record)
            self._poll_escalations()
            self._poll_measurements()
        return self._trials.ending

    def _finish_escalations(self) -> None:
        """Decide and wait for the escalations that are left."""
        if self._escalations is None or not self._escalations.left:
            return
        self._escalations.end_of_trials()
        with self._observer.bar("escalating", self._escalations.left) as advance:
            while self._escalations.left and not self._stop():
                advance(self._poll_escalations())
                self._poll_measurements()
                self._evaluations.wait(_WAIT)

    def _measure_front(self) -> None:
        """Measure what is left of a spread along the front, where a device is there."""
        if self._measurements is not None:
            for record, measurement in self._measurements.finish(lambda: self._history.front, self._stop):
                self._on_measured(record, measurement)

    def _confirm_front(self) -> None:
        """Measure members of the front on data that the search never saw."""
        if self._confirm and not self._stop():
            members = members_to_confirm(self._history.front, self._confirm)
            confirm_members(self._history.study, self._evaluations, members, self._observer, self._stop)

    # -- beside the trials --------------------------------------------------------------------------------------

    def _poll_escalations(self) -> int:
        """Take in finished escalations and begin those that are due; how many were finished."""
        finished = 0
        for record in self._escalations.poll() if self._escalations is not None else ():
            self._history.add(record)
            self._observer.on_escalation_finished(record, self._history)
            finished += 1
        return finished

    def _poll_measurements(self) -> None:
        for record, measurement in self._measurements.poll(lambda: self._history.front) if self._measurements else ():
            self._on_measured(record, measurement)

    # -- telling ------------------------------------------------------------------------------------------------

    def _on_trial(self, record: Record) -> None:
        with self._trials.timed("told"):
            self._history.add(record)
            self._observer.on_trial_finished(record, self._history)
        stagnation = self._history.stagnation()
        if stagnation:
            self._observer.warn(stagnation)

    def _on_measured(self, record: Record, measurement: Measurement) -> None:
        self._history.learn_latencies()
        self._observer.on_measured(record, measurement, self._history)
