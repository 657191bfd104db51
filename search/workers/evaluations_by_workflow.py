"""Evaluations where some workflows have workers of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.workers.evaluations import Evaluations, Pending, Request

__all__ = ["EvaluationsByWorkflow"]

T = TypeVar("T")


class EvaluationsByWorkflow(Evaluations):
    """Evaluations that hand each request to the workers of its workflow.

    Args:
        parts: by workflow; those of the data-free one do whatever has no workers of its own.
    """

    def __init__(self, parts: Mapping[Workflow, Evaluations]) -> None:
        self._parts = parts

    @property
    def size(self) -> int:
        """Number of data-free requests that are worked on at once."""
        return self._parts[Workflow.DATA_FREE].size

    @property
    def unanswered(self) -> int:
        """Of all workflows."""
        return sum(part.unanswered for part in self._parts.values())

    def submit(self, request: Request[T]) -> Pending[T]:
        """Hand one request on."""
        part = self._parts.get(request.workflow, self._parts[Workflow.DATA_FREE])
        return part.submit(request)

    def wait(self, timeout: float | None = None) -> None:
        """Take in what has been answered anywhere; wait for the data-free workers, or for others where those are idle."""
        data_free = self._parts[Workflow.DATA_FREE]
        busy = sorted((p for p in self._parts.values() if p.unanswered), key=lambda part: part is not data_free)
        for part in busy[1:]:
            part.wait(0)
        for part in busy[:1]:
            part.wait(timeout)

    def stop(self) -> None:
        """End all."""
        for part in self._parts.values():
            part.stop()
