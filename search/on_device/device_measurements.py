"""Measuring: promising configurations sent to a bench worker, whenever there is one.

Nothing waits for it while trials go on, and no trial depends on it: measurements only add. What is measured is kept in
the study at once, so that it is never measured again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from palettune.device_bench.measurement.measurement import CoreMLBackend, Measurement, Runtime
from palettune.search.experiment.experiment import Measure
from palettune.search.experiment.reporter import Reporter
from palettune.search.library_internals import actor_id
from palettune.search.on_device.bench_worker import Bench, resource_of
from palettune.search.results.front import Front
from palettune.search.study.record import Record
from palettune.search.study.study import SearchStudy
from palettune.search.workers.by_value import sent
from palettune.search.workers.ray_evaluations import RemoteWorker
from palettune.search.workers.requests import Convert
from palettune.search.workers.worker_settings import WorkerSettings
from palettune.space.errors import UserError
from palettune.space.target import DeploymentTarget

__all__ = ["DeviceMeasurements", "Measured", "MeasurementOrder"]

Measured = tuple[Record, Measurement]
"""A record, and what its configuration was measured to take."""

_LOOK = 2.0
"""Seconds between two looks for a bench worker."""
_GRACE = 20.0
"""Seconds that a finished search gives a lost bench worker to come back."""
_PREPARING = 120.0
"""Seconds that a finished search waits at least for a device to be prepared, or to be left by another search."""
_ATTEMPTS = 3


@dataclass(frozen=True)
class MeasurementOrder:
    """Chip, compute units and settings of a search's measurements.

    Attributes:
        chip: name of the chip; bench workers are found by it.
        unit: Core ML's compute units.
        runtime: what talks to Core ML on the bench worker.
    """

    chip: str
    unit: str
    target: DeploymentTarget
    settings: Measure
    runtime: Runtime = CoreMLBackend


class _Step(StrEnum):
    AWAY = "no bench worker"
    JOINING = "waiting for the device"
    IDLE = "nothing to measure"
    PACKING = "converting"
    RUNNING = "measuring"
    ENDED = "given up"


class DeviceMeasurements:
    """One bench worker's conversation with one search, advanced by ``poll`` and never waiting.

    Args:
        order: what to measure on, and how.
        packager: settings of the worker that converts, beside the driver.
    """

    def __init__(
        self,
        study: SearchStudy,
        order: MeasurementOrder,
        packager: WorkerSettings,
        reporter: Reporter,
    ) -> None:
        self._study, self._order, self._settings = study, order, replace(packager, threads=1, gpus=0)
        self._reporter = reporter
        self._new: list[Measured] = []
        self._step = _Step.AWAY
        self._looked = -_LOOK
        self._since = 0.0
        self._bench: Any = None
        self._packager: Any = None
        self._pending: Any = None
        self._current: Record | None = None
        self._done = set(study.measurements())
        self._sent: Counter[str] = Counter()  # by configuration, in this session
        self._refused: set[str] = set()
        self._lost = 0

    def poll(self, front: Callable[[], Front], most: int | None = None) -> list[Measured]:
        """Do what can be done at once; give what was measured since the last time, kept in the study already.

        Args:
            front: the front by now.
            most: measurements after which no further one is begun; the settings' number by default.
        """
        limit = self._order.settings.members if most is None else most
        before = None
        while before is not self._step:  # every step that ends lets the next one begin
            before = self._step
            match self._step:
                case _Step.AWAY:
                    self._look(front, limit)
                case _Step.IDLE:
                    self._begin(front, limit)
                case _Step.JOINING | _Step.PACKING | _Step.RUNNING:
                    self._collect()
        new, self._new = self._new, []
        return new

    def finish(self, front: Callable[[], Front], stop: Callable[[], bool]) -> Iterator[Measured]:
        """Measure what of a spread along the final front is left, if a bench worker is there; bounded in time."""
        most = 2 * self._order.settings.members
        if self._bench is None and not self._present():
            return
        with self._reporter.stage("measuring the front on the device"):
            left = time.monotonic()
            while not stop() and self._step is not _Step.ENDED:
                yield from self.poll(front, most)
                if self._step in (_Step.IDLE, _Step.AWAY) and self._next(front(), most) is None:
                    return
                patience = max(_PREPARING, self._order.settings.timeout_s) if self._step is _Step.JOINING else _GRACE
                if self._step not in (_Step.AWAY, _Step.JOINING):
                    left = time.monotonic()
                elif time.monotonic() - left > patience:
                    self._reporter.warn(f"the front is not measured to its end: {self._step}; search again to go on")
                    return
                time.sleep(0.05)

    def close(self) -> None:
        """Let the device and the packager go."""
        self._leave(_Step.ENDED)
        self._drop_packager()

    # -- steps --------------------------------------------------------------------------------------------------

    def _look(self, front: Callable[[], Front], limit: int) -> None:
        if time.monotonic() - self._looked < _LOOK or self._next(front(), limit) is None:
            return
        self._looked = time.monotonic()
        if not self._present():
            return
        resources = {resource_of(self._order.chip): 1}
        actor = ray.remote(Bench).options(num_cpus=0, resources=resources, max_restarts=0)
        self._bench = actor.remote(self._order.runtime)
        self._wait_for(self._bench.ready.remote(), _Step.JOINING)

    def _begin(self, front: Callable[[], Front], limit: int) -> None:
        record = self._next(front(), limit)
        if record is None:
            self._leave(_Step.AWAY)  # another search may want the device
            return
        if self._packager is None:
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            self._packager = (
                ray.remote(RemoteWorker).options(num_cpus=0, scheduling_strategy=here).remote(sent(self._settings))
            )
        self._current = record
        self._sent[record.configuration.hash] += 1
        convert = Convert(record.configuration, self._order.target, record.state)
        package = self._packager.result.remote(convert)
        self._wait_for(package, _Step.PACKING)

    def _collect(self) -> None:
        ready, _ = ray.wait([self._pending], timeout=0, fetch_local=self._step is not _Step.PACKING)
        if not ready:
            self._check_patience()
            return
        try:
            # a package goes from the packager to the bench worker; the driver never holds it
            answer: Any = None if self._step is _Step.PACKING else ray.get(self._pending)
        except RayTaskError as error:
            self._refuse(error.cause if isinstance(error.cause, BaseException) else error)
            return
        except RayError as error:
            packager = self._packager and actor_id(self._packager)
            if getattr(error, "actor_id", None) == packager:
                self._drop_packager()
            self._lose(str(error).strip().splitlines()[0])
            return
        if self._step is _Step.JOINING:
            self._reporter.say(f"{answer[0]} ({answer[1]}) is here to measure on {self._order.chip}")
            self._step = _Step.IDLE
        elif self._step is _Step.PACKING:
            measured = self._bench.measure.remote(self._pending, self._order.unit, self._order.settings.runs)
            self._wait_for(measured, _Step.RUNNING)
        else:
            self._keep(answer)

    def _keep(self, measurement: Measurement) -> None:
        record = self._current
        assert record is not None
        self._study.keep_measurement(record.configuration.hash, measurement)
        self._done.add(record.configuration.hash)
        self._lost = 0
        self._current, self._step = None, _Step.IDLE
        self._new.append((record, measurement))

    def _check_patience(self) -> None:
        waited = time.monotonic() - self._since
        if self._step is _Step.RUNNING and waited > self._order.settings.timeout_s:
            self._lose(f"no answer within {self._order.settings.timeout_s:g} s")
        elif self._step is _Step.JOINING and waited > _LOOK and not self._present():
            self._leave(_Step.AWAY)

    def _refuse(self, cause: BaseException) -> None:
        """What raises would raise again: the configuration is not sent again in this session."""
        if self._current is None:  # the device itself cannot be prepared
            self._lose(str(cause))
            return
        self._refused.add(self._current.configuration.hash)
        kind = "" if isinstance(cause, UserError) else f"{type(cause).__name__}: "
        self._reporter.warn(f"trial {self._current.trial} could not be measured: {kind}{cause}")
        self._current, self._step = None, _Step.IDLE

    def _lose(self, reason: str) -> None:
        trial = f" with trial {self._current.trial}" if self._current else ""
        self._lost += 1
        if self._lost >= _ATTEMPTS:
            self._reporter.warn(f"the bench worker was lost{trial} ({reason}), {self._lost} times in a row: given up")
            self._leave(_Step.ENDED)
        else:
            self._reporter.warn(f"the bench worker was lost{trial} ({reason}); the search goes on")
            self._leave(_Step.AWAY)

    def _drop_packager(self) -> None:
        if self._packager is not None:
            ray.kill(self._packager, no_restart=True)
        self._packager = None

    def _leave(self, step: _Step) -> None:
        if self._bench is not None:
            ray.kill(self._bench, no_restart=True)
        self._bench = self._pending = self._current = None
        self._step = step

    def _wait_for(self, reference: Any, step: _Step) -> None:
        self._pending, self._step, self._since = reference, step, time.monotonic()

    # -- choosing -----------------------------------------------------------------------------------------------

    def _next(self, front: Front, limit: int) -> Record | None:
        """The member of a spread along the front that is farthest from those measured; the dearest one first."""
        if sum(self._sent.values()) >= limit:
            return None
        spread = front.spread(self._order.settings.members)
        keys = [record.configuration.hash for record in spread]
        measured = [i for i, key in enumerate(keys) if key in self._done]
        tried = self._done | self._refused | {key for key in keys if self._sent[key] >= _ATTEMPTS}
        left = [i for i, key in enumerate(keys) if key not in tried]
        if not left:
            return None
        return spread[max(left, key=lambda i: (min((abs(i - m) for m in measured), default=i), i))]

    def _present(self) -> bool:
        return ray.is_initialized() and bool(ray.cluster_resources().get(resource_of(self._order.chip), 0))
