"""Evaluations from a record, on a simulated clock: the product's own loop without a model, for benchmarks and tests."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar, cast

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Screened
from palettune.search.workers.evaluations import Answer, Evaluations, Pending, Request, WorkerError
from palettune.search.workers.requests import Confirm, Evaluate
from palettune.space.configuration import Configuration

__all__ = ["RecordedEvaluations"]

T = TypeVar("T")


class RecordedEvaluations(Evaluations):
    """Evaluations answered from known results, in the order in which so many workers would have.

    Args:
        results: the result of a configuration on the evaluation data.
        seconds: that one evaluation takes on one worker; longer ones end later.
        workers: evaluations under way at once.
        confirmations: the result of a configuration on the confirmation data; none are answered without.
        timed: whether the time that whoever drives the search takes counts, between one call and the next.

    Attributes:
        clock: simulated seconds since the beginning.
    """

    def __init__(
        self,
        results: Callable[[Configuration], Evaluation | Screened | Failure],
        seconds: Callable[[Configuration], float] = lambda configuration: 1.0,
        workers: int = 1,
        confirmations: Callable[[Configuration], Evaluation | Failure] | None = None,
        timed: bool = False,
    ) -> None:
        self._results, self._confirmations, self._seconds = results, confirmations, seconds
        self._workers = workers
        self._waiting: deque[Pending[Any]] = deque()
        self._busy: list[tuple[float, int, float, Pending[Any]]] = []
        self._begun = 0
        self.clock = 0.0
        self._timed, self._left_at = timed, time.perf_counter()

    @property
    def size(self) -> int:
        """Number of simulated workers."""
        return self._workers

    @property
    def unanswered(self) -> int:
        """Requests queued or under way."""
        return len(self._waiting) + len(self._busy)

    def submit(self, request: Request[T]) -> Pending[T]:
        """Queue one request; what is not on record is refused when its turn comes."""
        self._count_driver()
        pending = Pending(request)
        self._waiting.append(pending)
        self._dispatch()
        self._left_at = time.perf_counter()
        return pending

    def wait(self, timeout: float | None = None) -> None:
        """Turn the clock on to the end of the next evaluation; no time passes for whoever waits."""
        self._count_driver()
        if self._busy:
            ends, _, began, pending = heapq.heappop(self._busy)
            self.clock = max(self.clock, ends)
            pending.answer = Answer(self._result(pending.request), (began, ends))
            self._dispatch()
        self._left_at = time.perf_counter()

    def stop(self) -> None:
        """Drop what is not answered."""
        self._waiting.clear()
        self._busy.clear()

    def _count_driver(self) -> None:
        if self._timed:
            self.clock += time.perf_counter() - self._left_at

    def _dispatch(self) -> None:
        while self._waiting and len(self._busy) < self._workers:
            pending = self._waiting.popleft()
            took = self._seconds(_configuration(pending.request))
            self._begun += 1  # of two that end at once, the first begun is answered first
            heapq.heappush(self._busy, (self.clock + took, self._begun, self.clock, pending))

    def _result(self, request: Request[T]) -> T | Failure:
        configuration = _configuration(request)
        if isinstance(request, Confirm):
            if self._confirmations is None:
                raise WorkerError(f"{configuration.hash}: no confirmation is on record")
            return cast("T | Failure", self._confirmations(configuration))
        return cast("T | Failure", self._results(configuration))


def _configuration(request: Request[Any]) -> Configuration:
    if isinstance(request, Evaluate | Confirm):
        return request.configuration
    raise WorkerError(f"a record answers evaluations and confirmations, not {type(request).__name__}")
