"""Trials: asked for, evaluated and told, in an order that does not depend on the workers."""

from __future__ import annotations

import heapq
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Rival, Screened, Stage
from palettune.search.results.ending import Ending
from palettune.search.results.search_history import SearchHistory
from palettune.search.study.proposals import SamplerFactory
from palettune.search.study.record import Record
from palettune.search.workers.evaluations import Answer, Evaluations, Pending
from palettune.search.workers.requests import Evaluate
from palettune.space.configuration import Configuration

__all__ = ["Trials"]

_REPEATS = 50
_RIVALS = 4

TrialAnswer = Answer[Evaluation | Screened]


class Trials:
    """Data-free trials, a fixed number in flight; a proposal depends on the trials told before it alone.

    Args:
        history: of the search; whoever drives the trials adds each finished one.
        sampler: proposes what is evaluated after the first trials.
        costs: the costs of a configuration, known without evaluating it.
        screen: samples after which an evaluation that is surely worse than a cheaper one ends; 0 for never.
        size: configurations that there are; trials end when each has been evaluated.

    Attributes:
        seconds: the driver's time by errand (``ask``, ``keep``, ``tell``, ``told``).
    """

    def __init__(
        self,
        history: SearchHistory,
        evaluations: Evaluations,
        sampler: SamplerFactory,
        costs: Callable[[Configuration], Mapping[str, float]],
        screen: int = 0,
        size: int | None = None,
    ) -> None:
        self._history, self._evaluations, self._sampler = history, evaluations, sampler
        self._costs = costs
        self._study, self._objectives = history.study, history.objectives
        self._budget, self._in_flight = history.experiment.budget, history.experiment.search.in_flight
        self._screen, self._size = screen, size
        self._untold: deque[int] = deque()
        self._configurations: dict[int, Configuration] = {}
        self._pending: dict[int, Pending[Evaluation | Screened]] = {}
        self._answers: dict[int, TrialAnswer] = {}
        self._sources: dict[int, int] = {}  # trial -> earlier trial of the same configuration
        self._first: dict[str, int] = {}  # configuration hash -> the trial that evaluates it
        self._evaluated = 0
        self._repeats = 0
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._deadline = time.monotonic() + self._budget.minutes * 60 if self._budget.minutes else None

    def resume(self) -> None:
        """Go on from what the study holds: finished trials count, and those begun are handed in again."""
        for record in self._history.trials:
            self._configurations[record.trial] = record.configuration
            result = record.result
            if result is None:
                continue
            self._answers[record.trial] = Answer(result, record.span)
            if record.answered_from is None:
                self._evaluated += 1
                if not _lost(result):
                    self._first.setdefault(record.configuration.hash, record.trial)
        for number, configuration, known in self._study.data_free.interrupted(self._sampler):
            now = time.time()
            self._begin(number, configuration, None if known is None else Answer(known, (now, now)))

    def fill(self) -> bool:
        """Ask for trials until enough are in flight; false where none is, because of ``ending``."""
        while len(self._untold) < self._in_flight and self._spent() is None:
            with self.timed("ask"):
                number, configuration = self._study.data_free.ask(self._sampler)
            self._begin(number, configuration, None)
        return bool(self._untold)

    @property
    def ending(self) -> Ending:
        """Reason why no further trial is asked for."""
        return self._spent() or Ending.NOTHING_NEW

    @property
    def waiting(self) -> bool:
        """Whether the next trial to be told is still being evaluated."""
        return bool(self._untold) and not self._ready(self._untold[0])

    def finished(self) -> Iterator[Record]:
        """Write down what has been answered, and tell what is next in the order of the trials' numbers."""
        for number, pending in list(self._pending.items()):
            if pending.answer is not None:
                del self._pending[number]
                with self.timed("keep"):
                    self._study.data_free.keep(number, pending.answer.result, pending.answer.span)
                self._answers[number] = pending.answer
        while self._untold and self._ready(self._untold[0]):
            yield self._tell(self._untold.popleft())
            self.fill()  # between two tells: each proposal sees exactly the trials before it

    @contextmanager
    def timed(self, errand: str) -> Iterator[None]:
        """Count the driver's time on one errand."""
        started = time.perf_counter()
        yield
        self.seconds[errand] += time.perf_counter() - started

    def _begin(self, number: int, configuration: Configuration, known: TrialAnswer | None) -> None:
        self._untold.append(number)
        self._configurations[number] = configuration
        source = self._first.get(configuration.hash)
        if source is not None and known is None:
            self._sources[number] = source
            self._study.data_free.answer(number, source)
            self._repeats += 1
            return
        self._repeats = 0
        self._evaluated += 1
        self._first.setdefault(configuration.hash, number)
        if known is not None:
            self._answers[number] = known
        else:
            self._pending[number] = self._evaluations.submit(self._request(number, configuration))

    def _request(self, number: int, configuration: Configuration) -> Evaluate:
        # uniform configurations are what people compare with: they are always measured in full
        screen = 0 if self._study.data_free.origin(number).startswith("uniform") else self._screen
        return Evaluate(configuration, self._rivals(configuration) if screen else (), screen)

    def _ready(self, number: int) -> bool:
        return number in self._answers or number in self._sources

    def _tell(self, number: int) -> Record:
        source = self._sources.get(number)
        answer = self._answers[number] = self._answers[number if source is None else source]
        result, configuration = answer.result, self._configurations[number]
        with self.timed("tell"):
            record = self._study.data_free.tell(number, result, self._costs(configuration), self._objectives)
        if _lost(result):  # the machine's fault, not the configuration's: it may be tried again
            self._first.pop(configuration.hash, None)
        return record

    def _rivals(self, configuration: Configuration) -> tuple[Rival, ...]:
        """The best few evaluations that cost no more, of those told when the last trial was asked, also after a resume."""
        costs = self._costs(configuration)
        told = max(0, len(self._history.trials) + len(self._untold) - self._in_flight)
        cheaper = [
            r
            for r in self._history.trials[:told]
            if r.evaluation is not None
            and r.feasible
            and r.answered_from is None
            and all(r.costs[name] <= cost for name, cost in costs.items())
        ]
        best = heapq.nsmallest(_RIVALS, cheaper, key=lambda r: r.evaluation.divergence if r.evaluation else 0.0)
        return tuple(Rival(r.trial, r.evaluation.by_sample) for r in best if r.evaluation is not None)

    def _spent(self) -> Ending | None:
        if self._evaluated >= self._budget.trials:
            return Ending.TRIALS
        if self._deadline is not None and time.monotonic() > self._deadline:
            return Ending.MINUTES
        if self._size is not None and len(self._first) >= self._size:
            return Ending.EXHAUSTED
        if self._repeats >= _REPEATS:
            return Ending.NOTHING_NEW
        return None


def _lost(result: Evaluation | Screened | Failure) -> bool:
    return isinstance(result, Failure) and result.stage is Stage.LOST
