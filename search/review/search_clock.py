"""The clock of a search: seconds that it was at work, with the nights between its sessions left out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

__all__ = ["SearchClock"]

_PAUSE = 60.0
"""Seconds without any work after which the search was not running."""


class SearchClock:
    """Moments of a search as seconds since its start.

    Args:
        spans: when something was at work, each as begin and end in seconds since the epoch; those without are left out.

    Attributes:
        seconds: of the whole search.
    """

    def __init__(self, spans: Iterable[tuple[float, float]]) -> None:
        self._begins: list[float] = []
        self._before: list[float] = []
        ends: list[float] = []
        for begin, end in sorted(span for span in spans if 0 < span[0] <= span[1]):
            if ends and begin - ends[-1] <= _PAUSE:
                ends[-1] = max(ends[-1], end)
                continue
            self._before.append(self._before[-1] + ends[-1] - self._begins[-1] if ends else 0.0)
            self._begins.append(begin)
            ends.append(end)
        self._ends = ends
        self.seconds = self._before[-1] + ends[-1] - self._begins[-1] if ends else 0.0

    def at(self, moment: float) -> float | None:
        """Return the seconds of work until a moment; ``None`` for one that is before the search, or not known."""
        place = bisect_right(self._begins, moment) - 1
        if place < 0:
            return None
        return self._before[place] + min(moment, self._ends[place]) - self._begins[place]
