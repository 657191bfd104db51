"""The loop: ask, evaluate on workers, tell; in an order that does not depend on the workers."""

from __future__ import annotations

import heapq
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Rival, Stage, Workflow
from palettune.search.experiment.experiment import Budget
from palettune.search.experiment.objectives import ObjectiveSet
from palettune.search.results.ending import Ending
from palettune.search.study.record import Record, Result
from palettune.search.study.study import SearchStudy
from palettune.search.workers.worker_pool import WorkerPool
from palettune.space.configuration import Configuration

__all__ = ["Loop"]

_REPEATS = 50
_RIVALS = 4


class Loop:
    """Keeps a fixed number of trials in flight.

    Args:
        costs: the costs of a configuration, known without evaluating it.
        in_flight: trials asked and not told; a proposal sees the trials told before it, and nothing else.
        told: called with each finished trial, in the order of their numbers.
        stop: asked between waits; true ends the loop at once, and what is in flight stays RUNNING in the study.
        screen: samples after which an evaluation that is surely worse than a cheaper one ends; 0 for never.
        size: configurations that there are; the loop ends when each has been evaluated.

    Attributes:
        seconds: the driver's time by errand (``ask``, ``wait``, ``keep``, ``tell``, ``told``).
    """

    def __init__(
        self,
        study: SearchStudy,
        pool: WorkerPool,
        objectives: ObjectiveSet,
        costs: Callable[[Configuration], Mapping[str, float]],
        budget: Budget,
        in_flight: int,
        told: Callable[[Record], None],
        stop: Callable[[], bool],
        screen: int = 0,
        size: int | None = None,
    ) -> None:
        self._study, self._pool, self._objectives, self._costs = study, pool, objectives, costs
        self._budget, self._in_flight, self._told, self._stop = budget, in_flight, told, stop
        self._screen, self._size = screen, size
        self._records: list[Record] = []
        self._pending: deque[int] = deque()
        self._configurations: dict[int, Configuration] = {}
        self._results: dict[int, tuple[Result, tuple[float, float]]] = {}
        self._sources: dict[int, int] = {}  # trial -> earlier trial of the same configuration
        self._first: dict[str, int] = {}  # configuration hash -> the trial that evaluates it
        self._evaluated = 0
        self._repeats = 0
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._deadline = time.monotonic() + budget.minutes * 60 if budget.minutes else None

    def run(self) -> Ending:
        """Go on from what the study holds until the budget is spent."""
        self._restore()
        while True:
            self._refill()
            if not self._pending:
                return self._ending() or Ending.NOTHING_NEW
            if self._stop():
                return Ending.STOPPED
            if self._pending[0] not in self._results and self._pending[0] not in self._sources:
                self._collect()
            while self._pending and self._ready(self._pending[0]):
                self._tell(self._pending.popleft())
                self._refill()  # between two tells: each proposal sees exactly the trials before it

    def _restore(self) -> None:
        for record in self._study.records():
            self._records.append(record)
            self._configurations[record.trial] = record.configuration
            result = record.result
            if result is None:
                continue
            self._results[record.trial] = (result, record.span)
            if record.answered_from is None:
                self._evaluated += 1
                if not _lost(result):
                    self._first.setdefault(record.configuration.hash, record.trial)
        for number, configuration, result in self._study.running():
            self._register(number, configuration, result)

    def _refill(self) -> None:
        while len(self._pending) < self._in_flight and self._ending() is None:
            with self._timed("ask"):
                number, configuration = self._study.ask()
            self._register(number, configuration, None)

    def _register(self, number: int, configuration: Configuration, result: Result | None) -> None:
        self._pending.append(number)
        self._configurations[number] = configuration
        source = self._first.get(configuration.hash)
        if source is not None and result is None:
            self._sources[number] = source
            self._study.answer(number, source)
            self._repeats += 1
            return
        self._repeats = 0
        self._evaluated += 1
        self._first.setdefault(configuration.hash, number)
        if result is not None:
            now = time.time()
            self._results[number] = (result, (now, now))
        else:
            # uniform configurations are what people compare with: they are always measured in full
            screen = 0 if self._study.origin(number).startswith("uniform") else self._screen
            rivals = self._rivals(number, configuration) if screen else ()
            self._pool.submit(number, "evaluate", configuration.to_json(), rivals, screen)

    def _collect(self) -> None:
        with self._timed("wait"):
            answers = self._pool.wait(timeout=0.2)
        for answer in answers:
            with self._timed("keep"):
                self._study.keep(answer.key, answer.result, answer.span)
            self._results[answer.key] = (answer.result, answer.span)

    def _ready(self, number: int) -> bool:
        return number in self._results or number in self._sources

    def _tell(self, number: int) -> None:
        source = self._sources.get(number)
        result, span = self._results[number if source is None else source]
        configuration = self._configurations[number]
        costs = self._costs(configuration)
        self._results[number] = (result, span)
        with self._timed("tell"):
            self._study.tell(number, result, costs, self._objectives)
        if _lost(result):  # the machine's fault, not the configuration's: it may be tried again
            self._first.pop(configuration.hash, None)
        evaluation = result if isinstance(result, Evaluation) else None
        record = Record.of(
            result,
            trial=number,
            origin=self._study.origin(number),
            configuration=configuration,
            workflow=Workflow.DATA_FREE,
            values=tuple(self._objectives.values(evaluation, costs)) if evaluation else None,
            costs=costs,
            feasible=evaluation is not None
            and all(value <= 0 for value in self._objectives.violations(evaluation, costs)),
            answered_from=source,
            span=span,
        )
        self._records.append(record)
        with self._timed("told"):
            self._told(record)

    def _rivals(self, number: int, configuration: Configuration) -> tuple[Rival, ...]:
        """The best few evaluations that cost no more, of those told when a trial was asked (also after a resume)."""
        costs = self._costs(configuration)
        cheaper = [
            r
            for r in self._records
            if r.trial <= number - self._in_flight
            and r.evaluation is not None
            and r.feasible
            and r.answered_from is None
            and all(r.costs[name] <= cost for name, cost in costs.items())
        ]
        best = heapq.nsmallest(_RIVALS, cheaper, key=lambda r: r.evaluation.divergence if r.evaluation else 0.0)
        return tuple(Rival(r.trial, r.evaluation.by_sample) for r in best if r.evaluation is not None)

    @contextmanager
    def _timed(self, errand: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[errand] += time.perf_counter() - started

    def _ending(self) -> Ending | None:
        if self._evaluated >= self._budget.trials:
            return Ending.TRIALS
        if self._deadline is not None and time.monotonic() > self._deadline:
            return Ending.MINUTES
        if self._size is not None and len(self._first) >= self._size:
            return Ending.EXHAUSTED
        if self._repeats >= _REPEATS:
            return Ending.NOTHING_NEW
        return None


def _lost(result: Result) -> bool:
    return isinstance(result, Failure) and result.stage is Stage.LOST
