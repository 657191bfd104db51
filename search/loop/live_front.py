"""The front while a search runs: trials as they end, and latencies measured as they arrive."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from palettune.device_bench.measurement.latency_record import measured_record
from palettune.device_bench.measurement.measurement import Measurement, Runtime
from palettune.search.display.progress import Display
from palettune.search.experiment.objectives import ObjectiveSet
from palettune.search.on_device.device_measurements import Measuring, Order
from palettune.search.preparation.preparation import Preparation
from palettune.search.results.front import Front, front_of
from palettune.search.results.known_latency import known_latency
from palettune.search.study.record import Record
from palettune.search.study.study import SearchStudy
from palettune.search.tracking.tracking import Tracker
from palettune.search.workers.worker_pool import WorkerSettings

__all__ = ["LiveFront"]


class LiveFront:
    """Ranks a search's records by what is known of them, and has the promising ones measured where that can be done.

    Args:
        records: of all trials told; the caller appends to it.
        settings: of the workers, for the one that builds packages.
        runtime: what talks to Core ML on a bench worker.
    """

    def __init__(
        self,
        preparation: Preparation,
        study: SearchStudy,
        objectives: ObjectiveSet,
        records: Sequence[Record],
        settings: WorkerSettings,
        display: Display,
        tracker: Tracker,
        runtime: Runtime,
    ) -> None:
        self._study, self._objectives, self._records = study, objectives, records
        self._display, self._tracker = display, tracker
        self._model = preparation.latency
        self._known = known_latency(self._model, records, study.measurements())
        self._measuring: Measuring | None = None
        if self._model is not None and preparation.experiment.measure.members:
            experiment, chip = preparation.experiment, self._model.device.chip.name
            unit = self._model.setting.value
            order = Order(chip, unit, experiment.deployment_target, experiment.measure, runtime)
            self._measuring = Measuring(study, order, settings, display, self._found)
        self._log_known()

    def front(self) -> Front:
        """The front by now."""
        return front_of(self._records, self._objectives, self._known)

    def poll(self) -> None:
        """Go on measuring, without waiting."""
        if self._measuring is not None:
            self._measuring.poll(self.front)

    def finish(self, stop: Callable[[], bool]) -> None:
        """Measure what is left of the front, where a bench worker is there."""
        if self._measuring is not None:
            self._measuring.finish(self.front, stop)

    def close(self) -> None:
        """Let the device go."""
        if self._measuring is not None:
            self._measuring.close()

    def _found(self, record: Record, measurement: Measurement) -> None:
        self._known = known_latency(self._model, self._records, self._study.measurements())
        predicted, model = record.costs.get("latency_ms"), self._known.model
        assert model is not None
        drifted = " (the device warmed up: a cool one is faster)" if measurement.drifted else ""
        self._display.say(
            f"trial {record.trial} measured on {measurement.device}: {measurement.median_ms:.3f} ms, spread "
            f"{measurement.spread_ms:.3f}, {measurement.runs} runs{drifted}; predicted {predicted or 0.0:.3f} ms; "
            f"the model of {model.device.chip.name} is now slower {model.scale:.2f} times, and its weights {model.stream:.2f}"
        )
        self._log(record, measurement)

    def _log_known(self) -> None:
        """MLflow is a view: what the study holds is written again where it is missing."""
        first = {r.configuration.hash: r for r in reversed(self._records) if r.answered_from is None}
        for key, measurement in self._known.measurements.items():
            if key in first:
                self._log(first[key], measurement)

    def _log(self, record: Record, measurement: Measurement) -> None:
        if self._model is not None:
            self._tracker.log_latency(record.trial, measured_record(measurement, self._model.device.chip.name))
