"""What long work says of itself while it runs: stages, bars and sentences, to whoever wants to hear them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Reporter"]


class Reporter:
    """Hears of stages, of amounts done and of sentences; does nothing with them unless a subclass overrides a method."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage of unknown length, from entering to leaving."""
        yield

    @contextmanager
    def bar(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """A known amount of work; the function given counts what is done of it."""
        yield lambda amount: None

    def say(self, message: str) -> None:
        """Something the user would like to know."""

    def warn(self, message: str) -> None:
        """Something the user should know, that does not stop the work."""
