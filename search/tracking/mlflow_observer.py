"""MLflow as an observer of a search: the record is rebuilt at the start and grows with every evaluation."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from functools import partial

from palettune.device_bench.cost.latency_model import LatencyModel
from palettune.device_bench.measurement.latency_record import measured_record, predicted_tags
from palettune.device_bench.measurement.measurement import Measurement
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.results.ending import Ending
from palettune.search.results.front import Front
from palettune.search.results.observer import SearchObserver
from palettune.search.results.search_history import SearchHistory
from palettune.search.study.record import Record
from palettune.search.tracking.front_marks import FrontMarks
from palettune.search.tracking.run_contents import ModelScale
from palettune.search.tracking.saved_view import saved_views
from palettune.search.tracking.search_contents import search_parameters, source_tags, version_tags
from palettune.search.tracking.search_note import search_note
from palettune.search.tracking.tracking import Tracker

__all__ = ["MlflowObserver"]


class MlflowObserver(SearchObserver):
    """Observer that writes a search into MLflow: one parent run, one child run per evaluation.

    Args:
        uri: MLflow's tracking URI; ``None`` for the database of the run folder.
        artifacts: what is left on the parent run at the end, by file name.
        rungs: what each rung of the escalation brought, figures by rung, for the note of the parent run.
        warn: told of a store that does not answer, and of what it did not take.
        storage: of the study, where it is not in the run folder.
    """

    def __init__(
        self,
        folder: RunFolder,
        uri: str | None,
        artifacts: Callable[[SearchHistory], Mapping[str, str | bytes]],
        rungs: Callable[[SearchHistory], Mapping[str, Mapping[str, float]]],
        warn: Callable[[str], None],
        storage: str | None = None,
    ) -> None:
        self._folder, self._uri, self._warn, self._storage = folder, uri, warn, storage
        self._artifacts, self._rungs = artifacts, rungs
        self._tracker: Tracker | None = None
        self._front: Front | None = None

    def on_search_started(self, history: SearchHistory) -> None:
        """Open the search's own run, and write what the store lacks of earlier sessions."""
        experiment, context = history.experiment, history.study.context
        tags = source_tags(experiment) | (predicted_tags(history.latency) if history.latency is not None else {})
        scale = ModelScale.of(context)
        self._tracker = tracker = Tracker(self._folder, self._uri, context.search_id, scale, tags, self._warn)
        views = saved_views(history.objectives, _metrics(experiment, history), int(time.time() * 1000))
        tracker.describe(search_parameters(experiment, context), partial(version_tags, experiment), views)
        tracker.rebuild([(step.record, step.metrics) for step in history.steps])
        for record, measurement in history.measured():
            self.on_measured(record, measurement, history)
        self._log_unseen(history)
        self._mark(history)

    def on_trial_finished(self, record: Record, history: SearchHistory) -> None:
        """Log a trial as a child run."""
        self._opened.log(record, history.steps[-1].metrics)
        self._mark(history)

    def on_escalation_finished(self, record: Record, history: SearchHistory) -> None:
        """Log an escalation as a child run."""
        self._opened.log(record, history.steps[-1].metrics)
        self._mark(history)

    def on_measured(self, record: Record, measurement: Measurement, history: SearchHistory) -> None:
        """Log the measured latency on the configuration's run."""
        latency: LatencyModel | None = history.latency
        if latency is not None:
            self._opened.log_latency(record.trial, measured_record(measurement, latency.device.chip.name))
        self._mark(history)

    def on_finished(self, ending: Ending, history: SearchHistory) -> None:
        """Write the artifacts and end the search's own run; say what could not be written."""
        tracker = self._opened
        self._log_unseen(history)
        self._mark(history, at_the_end=True)
        if history.front.members:
            tracker.texts(self._artifacts(history))
        status = "FINISHED" if ending.complete else "FAILED" if ending is Ending.FAILED else "KILLED"
        tracker.finish(status, ending.value)
        for problem in tracker.problems:
            self._warn(f"MLflow: {problem}")

    def _mark(self, history: SearchHistory, at_the_end: bool = False) -> None:
        """Mark the front where it has moved; the note says what each rung brought at the end."""
        front = history.front
        if front is self._front and not at_the_end:
            return
        before, self._front = self._front, front
        if before is not None and before.members == front.members and not at_the_end:
            return
        rungs = self._rungs(history) if at_the_end else {}
        confirmations = history.confirmations if at_the_end else {}
        note = search_note(front, len(history.records), rungs, confirmations, self._place(history.experiment))
        self._opened.mark(FrontMarks.of(front, note))

    def _place(self, experiment: Experiment) -> str:
        """What a command takes to find the search."""
        file = shlex.quote(str(experiment.file)) if experiment.file is not None else "EXPERIMENT.toml"
        return f"{file} {self._folder.options(self._storage)}".rstrip()

    def _log_unseen(self, history: SearchHistory) -> None:
        confirmations = history.confirmations
        for record in history.records:
            if record.key in confirmations and record.answered_from is None:
                self._opened.log_unseen(record.trial, confirmations[record.key])

    @property
    def _opened(self) -> Tracker:
        assert self._tracker is not None
        return self._tracker


def _metrics(experiment: Experiment, history: SearchHistory) -> list[str]:
    """Names of the workload's own metrics: the one that is searched for, and those that the float model has."""
    quality = experiment.objectives.quality
    named = [] if quality == "divergence" else [quality.metric]
    return list(dict.fromkeys([*named, *history.study.context.float_metrics]))
