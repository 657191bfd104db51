"""Evaluations in this process, without Ray: for debuggers, notebooks and quick searches of small models."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, TypeVar

from palettune.evaluators.quality.evaluation import Failure, Stage
from palettune.search.workers.evaluations import Answer, Evaluations, Pending, Request
from palettune.search.workers.worker import Worker
from palettune.search.workers.worker_settings import WorkerSettings
from palettune.space.errors import UserError

__all__ = ["InlineEvaluations"]

T = TypeVar("T")


class InlineEvaluations(Evaluations):
    """One worker that is this process: a request runs, to its end, when its answer is waited for; long ones first."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._worker = Worker(settings)
        self._long: deque[Pending[Any]] = deque()
        self._short: deque[Pending[Any]] = deque()

    @property
    def size(self) -> int:
        """One."""
        return 1

    @property
    def unanswered(self) -> int:
        """Requests queued."""
        return len(self._long) + len(self._short)

    def submit(self, request: Request[T]) -> Pending[T]:
        """Queue one request."""
        pending = Pending(request)
        (self._long if request.long else self._short).append(pending)
        return pending

    def wait(self, timeout: float | None = None) -> None:
        """Run the next request to its end, however long that takes."""
        queue = self._long or self._short
        if queue:
            pending = queue.popleft()
            pending.answer = self._answer(pending.request)

    def stop(self) -> None:
        """Drop what waits; nothing is under way between two requests."""
        self._long.clear()
        self._short.clear()

    def _answer(self, request: Request[T]) -> Answer[T]:
        began = time.time()
        result: T | Failure
        try:
            result = request.run(self._worker)
        except UserError:
            raise
        except Exception as error:  # as on a cluster: a failed evaluation, not the end of the search
            result = Failure(Stage.RAISED, f"{type(error).__name__}: {error}")
        return Answer(result, (began, time.time()))
