"""Evaluations: requests handed in, and their answers as they come, wherever the work is done.

``palettune.testing.evaluations_contract`` tests an implementation against it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from palettune.evaluators.quality.evaluation import Failure, Workflow
from palettune.space.errors import UserError

if TYPE_CHECKING:
    from palettune.search.workers.worker import Worker

__all__ = ["Answer", "Evaluations", "Pending", "Request", "SearchStopped", "WorkerError", "never"]

T = TypeVar("T")


class WorkerError(UserError):
    """Error: workers cannot be started, or one failed at something that a search cannot do without."""


class SearchStopped(UserError):
    """A stop was asked for before trials went on; what is compressed and scored by then is kept."""

    def __init__(self) -> None:
        super().__init__("the search was stopped while it was prepared; run it again to go on")


def never() -> bool:
    """Return false: nobody asks for an early end."""
    return False


class Request(ABC, Generic[T]):
    """One piece of work for a worker; a subclass is a frozen dataclass of what the work needs.

    Attributes:
        long: whether others should not wait for it: where there are several workers, one is always left to the others.
    """

    long: ClassVar[bool] = False

    @property
    def workflow(self) -> Workflow:
        """Whose workers do it."""
        return Workflow.DATA_FREE

    @abstractmethod
    def run(self, worker: Worker) -> T | Failure:
        """Do the work, where the worker is."""


@dataclass(frozen=True)
class Answer(Generic[T]):
    """Result of a request, or the reason why there is none, and when it ran, in seconds since the epoch."""

    result: T | Failure
    span: tuple[float, float]


@dataclass(eq=False)
class Pending(Generic[T]):
    """A request handed in; ``answer`` is ``None`` until it is answered."""

    request: Request[T]
    answer: Answer[T] | None = None


class Evaluations(ABC):
    """A queue of requests, and whoever works on them: Ray's workers, this process, or a record of earlier results.

    A request that raises is answered with a failure at the stage ``raised``; one that cannot be done because a worker
    is lost again and again, at ``lost``. A ``UserError`` is for the user to mend, and is raised from ``wait``.
    """

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of requests that are worked on at once."""

    @property
    @abstractmethod
    def unanswered(self) -> int:
        """Requests handed in and not answered."""

    @abstractmethod
    def submit(self, request: Request[T]) -> Pending[T]:
        """Hand in one request; those of a kind are begun in the order in which they were handed in."""

    @abstractmethod
    def wait(self, timeout: float | None = None) -> None:
        """Go on until something is answered that was not; at once where nothing is left, and after ``timeout`` seconds.

        Raises:
            UserError: for anything the user can mend.
        """

    @abstractmethod
    def stop(self) -> None:
        """End at once; what is not answered is dropped."""

    def completed(
        self, requests: Sequence[Request[T]], stop: Callable[[], bool] = never
    ) -> Iterator[tuple[int, Answer[T]]]:
        """Yield the answers to many requests as they come, each with its place among the requests.

        Args:
            stop: asked about once a second.

        Raises:
            SearchStopped: it was true.
        """
        left = dict(enumerate(self.submit(request) for request in requests))
        while left:
            if stop():
                raise SearchStopped
            self.wait(timeout=1.0)
            for index, pending in list(left.items()):
                if pending.answer is not None:
                    del left[index]
                    yield index, pending.answer

    def result(self, request: Request[T], stop: Callable[[], bool] = never) -> T:
        """Return the result of one request.

        Raises:
            SearchStopped: ``stop`` was true.
            WorkerError: there is none.
        """
        return succeeded(next(self.completed([request], stop))[1])


def succeeded(answer: Answer[T]) -> T:
    """Return the result of an answer.

    Raises:
        WorkerError: it is a failure.
    """
    if isinstance(answer.result, Failure):
        raise WorkerError(f"a worker failed at {answer.result}")
    return answer.result
