"""Evaluations on Ray: actors that hold the model and answer one request at a time.

Workers only compute: they return values, and never write to the study or to MLflow. They do write new entries to
the weight bank, whose files are content-addressed and written whole, so that two writers cannot disagree.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError, WorkerCrashedError

from palettune.evaluators.quality.evaluation import Failure, Stage, Workflow
from palettune.search.experiment.experiment import Needs
from palettune.search.workers.allocator import keep_freed_memory
from palettune.search.workers.by_value import sent
from palettune.search.workers.evaluations import Answer, Evaluations, Pending, Request, WorkerError
from palettune.search.workers.worker_settings import WorkerSettings
from palettune.space.errors import UserError

__all__ = ["RayEvaluations", "RemoteWorker", "connect_to_ray"]

T = TypeVar("T")
_LOST = (RayActorError, WorkerCrashedError, OutOfMemoryError)
_ATTEMPTS = 3


class RemoteWorker:
    """A worker in a process of its own. Heavy imports happen there, once."""

    def __init__(self, settings: WorkerSettings) -> None:
        import torch

        keep_freed_memory()
        torch.set_num_threads(settings.threads)
        from palettune.search.workers.worker import Worker

        self._worker = Worker(settings)

    def answer(self, request: Request[T]) -> Answer[T]:
        """Do one request; what it raises, Ray raises in the driver."""
        began = time.time()
        return Answer(request.run(self._worker), (began, time.time()))

    def result(self, request: Request[T]) -> T | Failure:
        """Return the result alone, for a request whose answer goes on to another worker."""
        return request.run(self._worker)


def connect_to_ray(address: str | None) -> None:
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
        with _own_sigterm():
            ray.init(**options)
    except Exception as error:  # Ray raises a bare one where a node is too slow to start, as on a crowded machine
        where = f"at {address!r} (--ray-address)" if address else "on this machine"
        raise WorkerError(f"no Ray cluster {where}: {error}") from error


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Put the process's own handler of SIGTERM back: ``ray.init`` sets one on the main thread (Ray 2.60)."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@dataclass(eq=False)
class _Call:
    """A request queued or under way, and how often it was begun."""

    pending: Pending[Any]
    attempts: int = 0

    @property
    def name(self) -> str:
        return type(self.pending.request).__name__.lower()


@dataclass(eq=False)
class RayEvaluations(Evaluations):
    """A queue of requests over a fixed number of workers.

    A worker that dies is replaced and its request tried again, at most three times in all; a request that raises is not
    tried again, since it would raise again. Where memory ran out, there is one worker fewer from then on.

    Attributes:
        name: of the workflow, as the experiment's ``[resources]`` spell it.
        on_lost: told, in words, when a worker is lost.
    """

    settings: WorkerSettings
    needs: Needs
    name: str = Workflow.DATA_FREE
    on_lost: Callable[[str], None] = lambda reason: None
    _idle: deque[Any] = field(default_factory=deque)
    _busy: dict[Any, tuple[Any, _Call]] = field(default_factory=dict)
    _short: deque[_Call] = field(default_factory=deque)
    _long: deque[_Call] = field(default_factory=deque)
    _all: list[Any] = field(default_factory=list)

    @cached_property
    def _sent(self) -> Any:
        """The settings as workers are given them."""
        return sent(self.settings)

    @property
    def size(self) -> int:
        """Number of workers."""
        return len(self._all)

    @property
    def unanswered(self) -> int:
        """Requests queued or under way."""
        return len(self._busy) + len(self._short) + len(self._long)

    def start(self, reserved: float = 0.0) -> None:
        """Start the workers; they load the model in the background.

        Args:
            reserved: CPUs of the cluster that are left to other workers.
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

    def submit(self, request: Request[T]) -> Pending[T]:
        """Queue one request."""
        pending = Pending(request)
        self._queue(request).append(_Call(pending))
        self._dispatch()
        return pending

    def wait(self, timeout: float | None = None) -> None:
        """Take in what has been answered; where nothing has, wait for the first answer."""
        self._dispatch()
        if not self._busy:
            return
        ready, _ = ray.wait(list(self._busy), num_returns=1, timeout=timeout)
        for reference in ready:
            self._collect(reference)
        self._dispatch()

    def stop(self) -> None:
        """End all workers at once."""
        self._short.clear()
        self._long.clear()
        self._busy.clear()
        for actor in self._all:
            ray.kill(actor, no_restart=True)
        self._all.clear()
        self._idle.clear()

    def _queue(self, request: Request[Any]) -> deque[_Call]:
        return self._long if request.long else self._short

    def _spawn(self) -> Any:
        options: dict[str, Any] = {"num_cpus": self.needs.cpus, "num_gpus": self.needs.gpus}
        if self.needs.memory_gb:
            options["memory"] = int(self.needs.memory_gb * 1024**3)
        actor = ray.remote(RemoteWorker).options(**options).remote(self._sent)
        self._all.append(actor)
        return actor

    def _dispatch(self) -> None:
        while self._idle and (call := self._next()) is not None:
            actor = self._idle.popleft()
            call.attempts += 1
            self._busy[actor.answer.remote(call.pending.request)] = (actor, call)

    def _next(self) -> _Call | None:
        long = sum(call.pending.request.long for _, call in self._busy.values())
        if self._long and (not self._short or long < max(1, self.size - 1)):
            return self._long.popleft()
        return self._short.popleft() if self._short else None

    def _collect(self, reference: Any) -> None:
        actor, call = self._busy.pop(reference)
        try:
            call.pending.answer = ray.get(reference)
        except RayTaskError as error:
            self._idle.append(actor)
            cause = error.cause if isinstance(error.cause, BaseException) else error
            if isinstance(cause, UserError):
                raise cause from None
            call.pending.answer = _failed(Stage.RAISED, f"{type(cause).__name__}: {cause}")
        except _LOST as error:
            self._lose(actor, call, error)
        else:
            self._idle.append(actor)

    def _lose(self, actor: Any, call: _Call, error: Exception) -> None:
        self._all.remove(actor)
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if isinstance(error, OutOfMemoryError) and self._all:
            self.on_lost(f"memory ran out during {call.name} ({first_line}); going on with {self.size} worker(s)")
        else:
            self._idle.append(self._spawn())
        if call.attempts < _ATTEMPTS:
            self.on_lost(f"a worker was lost during {call.name} ({first_line}); trying again")
            self._queue(call.pending.request).appendleft(call)
            return
        reason = f"the worker was lost {call.attempts} times; last: {first_line}"
        call.pending.answer = _failed(Stage.LOST, reason)


def _failed(stage: Stage, reason: str) -> Answer[Any]:
    now = time.time()
    return Answer(Failure(stage, reason), (now, now))
