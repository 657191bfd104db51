"""Evaluate in this process, without Ray: for debuggers, notebooks and quick searches of small models."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from palettune.evaluators.quality.evaluation import Failure, Stage
from palettune.search.workers.worker import Resident
from palettune.search.workers.worker_pool import Call, Finished, WorkerPool
from palettune.space.errors import UserError

__all__ = ["InlinePool"]


@dataclass(eq=False)
class InlinePool(WorkerPool):
    """A pool of one worker that is this process: a call runs, to its end, when its answer is waited for."""

    _resident: list[Resident] = field(default_factory=list)

    def start(self, reserved: float = 0.0) -> None:
        """Load the workload; ``reserved`` CPUs of a cluster have no meaning here."""
        self._resident = [Resident(self.settings)]
        self._all = list(self._resident)

    def stop(self) -> None:
        """Drop what waits; nothing is under way between two calls."""
        self._waiting.clear()
        self._aside.clear()
        self._answers.clear()
        self._all.clear()

    def _dispatch(self) -> None:
        """Calls wait until an answer is asked for."""

    def _gather(self, timeout: float | None) -> None:
        call = self._next()
        if call is None:
            return
        answer = self._run(call)
        if call.deliver is None:
            self._answers.append(answer)
        else:
            call.deliver(answer)

    def _run(self, call: Call) -> Finished:
        began = time.time()
        try:
            result = getattr(self._resident[0], call.method)(*call.arguments)
        except UserError:
            raise
        except Exception as error:  # as on a cluster: a failed evaluation, not the end of the search
            result = Failure(Stage.RAISED, f"{type(error).__name__}: {error}")
        return Finished(call.key, result, (began, time.time()))
