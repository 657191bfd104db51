"""The reporter of long work: stages, progress bars and messages, for whoever shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Reporter"]


class Reporter:
    """Receiver of stages, amounts done and messages; a subclass overrides what it shows."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Report a stage of unknown length, from entering to leaving."""
        yield

    @contextmanager
    def bar(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Report a known amount of work; call the function that it yields with each amount done."""
        yield lambda amount: None

    def say(self, message: str) -> None:
        """Report something that the user would like to know."""

    def warn(self, message: str) -> None:
        """Report something that the user should know and that does not stop the work."""
