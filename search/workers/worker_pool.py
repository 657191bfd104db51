"""The worker pool: Ray actors that hold the model resident and answer one call at a time.

Workers only compute: they return values, and never write to the study or to MLflow. They do write new entries to
the weight bank, whose files are content-addressed and written whole, so that two writers cannot disagree.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError, WorkerCrashedError

from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.quality.evaluation import Failure, Stage, Workflow
from palettune.evaluators.workload.sampling import DataOptions
from palettune.search.experiment.experiment import Ladder, Needs
from palettune.search.workers.allocator import keep_freed_memory
from palettune.space.errors import UserError

__all__ = ["Call", "Finished", "WorkerError", "WorkerPool", "WorkerSettings", "connect"]

_LOST = (RayActorError, WorkerCrashedError, OutOfMemoryError)
_ATTEMPTS = 3


class WorkerError(UserError):
    """The pool cannot be started, or every worker was lost."""


@dataclass(frozen=True)
class WorkerSettings:
    """Everything a worker needs to become resident.

    Attributes:
        workload: path of the workload file, readable where the worker runs.
        layers: the names of the layers that may be compressed.
        bank: folder of the weight bank, and those of other runs.
        threads: torch threads of one worker.
        states, checkpoints: folders of the states of models that climbed, and of trainings under way.
        ladder: how far climbs go.
        float32: patterns of the ops that compute in float32, and the layers that are among them.
        data: what the experiment says of the data.
        gpus: of one worker; any share of a GPU is what it computes on.
    """

    workload: Path
    layers: tuple[str, ...]
    kind: DivergenceKind
    seed: int
    bank: Path
    other_banks: tuple[Path, ...]
    threads: int
    states: Path | None = None
    checkpoints: Path | None = None
    ladder: Ladder = field(default_factory=Ladder)
    float32: tuple[str, ...] = ()
    float32_layers: tuple[str, ...] = ()
    data: DataOptions = field(default_factory=DataOptions)
    gpus: float = 0


@dataclass(frozen=True)
class Finished:
    """One answered call: its key, its result or why there is none, and when it ran (seconds since the epoch)."""

    key: Any
    result: Any
    span: tuple[float, float]


@dataclass
class Call:
    """One call of a worker's method, queued or under way."""

    key: Any
    method: str
    arguments: tuple[Any, ...]
    attempts: int = 0
    deliver: Callable[[Finished], None] | None = None


class _Resident:
    """What runs in a worker process. Heavy imports happen there, once."""

    def __init__(self, settings: WorkerSettings) -> None:
        import torch

        keep_freed_memory()
        torch.set_num_threads(settings.threads)
        from palettune.search.workers.worker import Resident

        self._resident = Resident(settings)

    def call(self, method: str, arguments: tuple[Any, ...]) -> tuple[Any, float, float]:
        started = time.time()
        result = getattr(self._resident, method)(*arguments)
        return result, started, time.time()


def connect(address: str | None) -> None:
    """Connect to a Ray cluster, or start one on this machine; quietly, and reporting nothing to anyone.

    Raises:
        WorkerError: if there is no cluster at the address.
    """
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    if address is None:
        # "local" ignores an address left in the environment: a cluster is used only when asked for
        options |= {"address": "local", "include_dashboard": False, "num_cpus": os.cpu_count()}
    else:
        options |= {"address": address}
    try:
        ray.init(**options)
    except Exception as error:  # Ray raises a bare one where a node is too slow to start, as on a crowded machine
        where = f"at {address!r} (--ray-address)" if address else "on this machine"
        raise WorkerError(f"no Ray cluster {where}: {error}") from error


@dataclass(eq=False)
class WorkerPool:
    """A queue of calls over a fixed number of workers.

    A worker that dies is replaced and its call tried again, at most three times in all; a call that raises is not
    tried again, since it would raise again. Where memory ran out, there is one worker fewer from then on.
    """

    settings: WorkerSettings
    needs: Needs
    name: str = Workflow.DATA_FREE.value
    on_lost: Callable[[str], None] = lambda reason: None
    _idle: deque[Any] = field(default_factory=deque)
    _busy: dict[Any, tuple[Any, Call]] = field(default_factory=dict)
    _waiting: deque[Call] = field(default_factory=deque)
    _aside: deque[Call] = field(default_factory=deque)
    _answers: list[Finished] = field(default_factory=list)
    _all: list[Any] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many workers there are."""
        return len(self._all)

    def start(self, reserved: float = 0.0) -> None:
        """Start the workers; they become resident in the background.

        Args:
            reserved: CPUs of the cluster that are left to other pools.
        """
        available = ray.cluster_resources()
        fit = int((available.get("CPU", 1) - reserved) // self.needs.cpus)
        if self.needs.gpus:
            fit = min(fit, int(available.get("GPU", 0) // self.needs.gpus))
        wanted = self.needs.workers or fit
        if fit < 1 or wanted > fit:
            raise WorkerError(
                f"resources: {wanted} worker(s) of {self.needs.cpus:g} CPU(s) and {self.needs.gpus:g} GPU(s) were asked "
                f"for, and the cluster has room for {fit}; lower `workers`, `cpus` or `gpus` under [resources.{self.name}]"
            )
        for _ in range(wanted):
            self._idle.append(self._spawn())

    def submit(self, key: Any, method: str, *arguments: Any, deliver: Callable[[Finished], None] | None = None) -> None:
        """Queue one call.

        Args:
            deliver: takes the answer, which ``wait`` then does not give. Such calls are long: where there are several
                workers, one is always left to the others.
        """
        queue = self._waiting if deliver is None else self._aside
        queue.append(Call(key, method, arguments, deliver=deliver))
        self._dispatch()

    def wait(self, timeout: float | None = None) -> list[Finished]:
        """Calls answered since the last time; blocks until there is one, at most ``timeout`` seconds."""
        if not self._answers:
            self._gather(timeout)
        answers, self._answers = self._answers, []
        return answers

    def poll(self) -> None:
        """Take in what has been answered, without waiting; what is to be delivered is delivered."""
        self._gather(0)

    def _gather(self, timeout: float | None) -> None:
        self._dispatch()
        if not self._busy:
            return
        ready, _ = ray.wait(list(self._busy), num_returns=1, timeout=timeout)
        for reference in ready:
            call = self._busy[reference][1]
            answer = self._collect(reference)
            if answer is None:
                continue
            if call.deliver is None:
                self._answers.append(answer)
            else:
                call.deliver(answer)
        self._dispatch()

    def map(self, method: str, items: Iterable[tuple[Any, tuple[Any, ...]]]) -> Iterator[Finished]:
        """Answers to many calls, as they come."""
        expected = 0
        for key, arguments in items:
            self.submit(key, method, *arguments)
            expected += 1
        while expected:
            for answer in self.wait(timeout=1.0):
                expected -= 1
                yield answer

    def stop(self) -> None:
        """End all workers at once; calls in flight are dropped."""
        self._waiting.clear()
        self._aside.clear()
        self._answers.clear()
        self._busy.clear()
        for actor in self._all:
            ray.kill(actor, no_restart=True)
        self._all.clear()
        self._idle.clear()

    def _spawn(self) -> Any:
        options: dict[str, Any] = {"num_cpus": self.needs.cpus, "num_gpus": self.needs.gpus}
        if self.needs.memory_gb:
            options["memory"] = int(self.needs.memory_gb * 1024**3)
        actor = ray.remote(_Resident).options(**options).remote(self.settings)
        self._all.append(actor)
        return actor

    def _dispatch(self) -> None:
        while self._idle and (call := self._next()) is not None:
            actor = self._idle.popleft()
            call.attempts += 1
            self._busy[actor.call.remote(call.method, call.arguments)] = (actor, call)

    def _next(self) -> Call | None:
        long = sum(call.deliver is not None for _, call in self._busy.values())
        if self._aside and (not self._waiting or long < max(1, self.size - 1)):
            return self._aside.popleft()
        return self._waiting.popleft() if self._waiting else None

    def _collect(self, reference: Any) -> Finished | None:
        actor, call = self._busy.pop(reference)
        try:
            result, began, ended = ray.get(reference)
        except RayTaskError as error:
            self._idle.append(actor)
            cause = error.cause if isinstance(error.cause, BaseException) else error
            if isinstance(cause, UserError):
                raise cause from None
            now = time.time()
            return Finished(call.key, Failure(Stage.WORKER, f"{type(cause).__name__}: {cause}"), (now, now))
        except _LOST as error:
            return self._lost(actor, call, error)
        self._idle.append(actor)
        return Finished(call.key, result, (began, ended))

    def _lost(self, actor: Any, call: Call, error: Exception) -> Finished | None:
        self._all.remove(actor)
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if isinstance(error, OutOfMemoryError) and self._all:
            self.on_lost(f"memory ran out during {call.method} ({first_line}); going on with {self.size} worker(s)")
        else:
            self._idle.append(self._spawn())
        if call.attempts < _ATTEMPTS:
            self.on_lost(f"a worker was lost during {call.method} ({first_line}); trying again")
            (self._waiting if call.deliver is None else self._aside).appendleft(call)
            return None
        now = time.time()
        reason = f"the worker was lost {call.attempts} times; last: {first_line}"
        return Finished(call.key, Failure(Stage.WORKER, reason), (now, now))
