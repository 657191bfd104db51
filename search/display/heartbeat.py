"""Lines every half minute about what is going on, for a log file, in which no bar can move."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["Heartbeat", "Work", "duration"]

_SECONDS = 30.0


@dataclass
class Work:
    """Something under way.

    Attributes:
        total: how much of it there is; ``None`` where that is not known.
        done: how much of it is done.
        before: what was done when this process began with it.
    """

    name: str
    total: int | None = None
    done: int = 0
    began: float = field(default_factory=time.monotonic)
    before: int = 0

    def __str__(self) -> str:
        """As in ``compressing layers: 120 of 511 (23%), 2 min 10 s, about 7 min left``."""
        spent = time.monotonic() - self.began
        if self.total is None:
            return f"{self.name}: {duration(spent)} so far"
        own, left = self.done - self.before, self.total - self.done
        rest = f", about {duration(spent / own * left)} left" if own > 0 and left > 0 else ""
        share = f" ({self.done / self.total:.0%})" if self.total else ""
        return f"{self.name}: {self.done} of {self.total}{share}, {duration(spent)}{rest}"


class Heartbeat:
    """Regular lines about the work under way.

    Args:
        say: prints one line; called from a thread of its own.
        seconds: between two lines.
    """

    def __init__(self, say: Callable[[str], None], seconds: float = _SECONDS) -> None:
        self._say, self._seconds = say, seconds

    @contextmanager
    def beating(self, work: Work) -> Iterator[None]:
        """Say what became of a piece of work, from half a minute after its beginning to its end."""
        over = threading.Event()
        thread = threading.Thread(target=self._beat, args=(work, over), name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _beat(self, work: Work, over: threading.Event) -> None:
        while not over.wait(self._seconds):
            self._say(str(work))


def duration(seconds: float) -> str:
    """Format seconds in words, in two units at the most: ``8 s``, ``2 min 10 s``, ``1 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
