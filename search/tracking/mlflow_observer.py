"""MLflow as an observer of a search: the record is rebuilt at the start and grows with every evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from palettune.device_bench.cost.latency_model import LatencyModel
from palettune.device_bench.measurement.latency_record import measured_record, predicted_tags
from palettune.device_bench.measurement.measurement import Measurement
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.results.ending import Ending
from palettune.search.results.observer import SearchObserver
from palettune.search.results.search_history import SearchHistory
from palettune.search.study.record import Record
from palettune.search.tracking.tracking import Tracker

__all__ = ["MlflowObserver"]


class MlflowObserver(SearchObserver):
    """Writes a search into MLflow: one parent run, one child run per evaluation.

    Args:
        uri: MLflow's tracking URI; ``None`` for the database of the run folder.
        artifacts: what is left on the parent run at the end, by file name.
        rungs: what each rung of the escalation brought, figures by rung, for the parent run.
        warn: told of a store that does not answer, and of what it did not take.
    """

    def __init__(
        self,
        folder: RunFolder,
        uri: str | None,
        artifacts: Callable[[SearchHistory], Mapping[str, str | bytes]],
        rungs: Callable[[SearchHistory], Mapping[str, Mapping[str, float]]],
        warn: Callable[[str], None],
    ) -> None:
        self._folder, self._uri, self._warn = folder, uri, warn
        self._artifacts, self._rungs = artifacts, rungs
        self._tracker: Tracker | None = None

    def on_search_started(self, history: SearchHistory) -> None:
        """Open the search's own run, and write what the store lacks of earlier sessions."""
        tags = predicted_tags(history.latency) if history.latency is not None else None
        search_id = history.study.context.search_id
        self._tracker = Tracker(self._folder, self._uri, search_id, tags, self._warn)
        self._tracker.rebuild([(step.record, step.metrics) for step in history.steps])
        for record, measurement in history.measured():
            self.on_measured(record, measurement, history)

    def on_trial_finished(self, record: Record, history: SearchHistory) -> None:
        """One child run."""
        self._opened.log(record, history.steps[-1].metrics)

    def on_escalation_finished(self, record: Record, history: SearchHistory) -> None:
        """One child run."""
        self._opened.log(record, history.steps[-1].metrics)

    def on_measured(self, record: Record, measurement: Measurement, history: SearchHistory) -> None:
        """The measured latency on the configuration's run."""
        latency: LatencyModel | None = history.latency
        if latency is not None:
            self._opened.log_latency(record.trial, measured_record(measurement, latency.device.chip.name))

    def on_finished(self, ending: Ending, history: SearchHistory) -> None:
        """The artifacts and the end of the search's own run; says what could not be written."""
        tracker = self._opened
        if history.front.members:
            tracker.texts(self._artifacts(history))
        tracker.rungs(self._rungs(history))
        status = "FINISHED" if ending.complete else "FAILED" if ending is Ending.FAILED else "KILLED"
        tracker.finish(status, ending.value)
        for problem in tracker.problems:
            self._warn(f"MLflow: {problem}")

    @property
    def _opened(self) -> Tracker:
        assert self._tracker is not None
        return self._tracker
