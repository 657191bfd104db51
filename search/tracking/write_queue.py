"""Writes to a store that may stop answering: in order, in one thread, each until it is done; nobody waits for them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["WriteQueue"]

_PAUSES = (0.2, 0.5, 1.0, 2.0)
_ATTEMPTS = 3


@dataclass
class _Item:
    name: str
    write: Callable[[], None]
    failures: int = 0


class WriteQueue:
    """A queue of writes, each of which may be repeated without harm.

    A write that fails is repeated: without end while the store does not answer, three times while it does. The thread
    is a daemon: one that hangs in a request does not keep the process.

    Args:
        alive: asks the store for something small; raises where it does not answer.
        refused: whether an error is the store's answer to this write, which would be the same again.
        silent: called when the store has stopped answering, with the error.
        back: called when it answers again.
    """

    def __init__(
        self,
        alive: Callable[[], None],
        refused: Callable[[Exception], bool],
        silent: Callable[[Exception], None] = lambda error: None,
        back: Callable[[], None] = lambda: None,
    ) -> None:
        self._alive, self._refused, self._silent, self._back = alive, refused, silent, back
        self._items: deque[_Item] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._out: Exception | None = None
        self._pause = 0
        self._moved = time.monotonic()
        self._skipped: list[tuple[str, Exception]] = []
        threading.Thread(target=self._run, name="mlflow", daemon=True).start()

    def put(self, name: str, write: Callable[[], None]) -> None:
        """Queue one write.

        Args:
            name: says what is written, in ``left`` and ``skipped``.
        """
        with self._changed:
            self._items.append(_Item(name, write))
            self._changed.notify_all()

    @property
    def left(self) -> Sequence[str]:
        """Names of what is not written."""
        with self._changed:
            return [item.name for item in self._items]

    @property
    def skipped(self) -> Sequence[tuple[str, Exception]]:
        """Names of what an answering store would not take, and why."""
        with self._changed:
            return list(self._skipped)

    @property
    def outage(self) -> Exception | None:
        """Reason why the store does not answer; ``None`` where it does."""
        return self._out

    def finish(self, patience: float, longest: float | None = None) -> bool:
        """Wait for what is queued and end; what is left is not written any more.

        Args:
            patience: seconds without one write done, after which nothing more is waited for.
            longest: seconds in all.

        Returns:
            Whether nothing is left.
        """
        started = self._moved = time.monotonic()
        with self._changed:
            while self._items:
                until = self._moved + patience
                if longest is not None:
                    until = min(until, started + longest)
                if (seconds := until - time.monotonic()) <= 0:
                    break
                self._changed.wait(seconds)
            self._closed = True
            self._changed.notify_all()
            return not self._items

    def _run(self) -> None:
        while (item := self._next()) is not None:
            try:
                item.write()
            except Exception as error:  # the record is a view: it must not end the search
                self._failed(item, error)
            else:
                self._done()

    def _next(self) -> _Item | None:
        with self._changed:
            while not self._items and not self._closed:
                self._changed.wait()
            return None if self._closed else self._items[0]

    def _done(self, skipped: Exception | None = None) -> None:
        with self._changed:
            if self._closed:  # too late: it is told as left
                return
            item = self._items.popleft()
            if skipped is not None:
                self._skipped.append((item.name, skipped))
            self._pause = 0
            self._moved = time.monotonic()
            self._changed.notify_all()
        self._answered()

    def _failed(self, item: _Item, error: Exception) -> None:
        silence = self._silence(error)
        if silence is not None:
            if self._out is None:
                self._silent(silence)
            self._out = silence
        else:
            item.failures += 1
            if self._refused(error) or item.failures >= _ATTEMPTS:
                self._done(error)
                return
        with self._changed:
            self._changed.wait_for(lambda: self._closed, _PAUSES[self._pause])
            self._pause = min(self._pause + 1, len(_PAUSES) - 1)

    def _silence(self, error: Exception) -> Exception | None:
        """Why the store does not answer; ``None`` where it does."""
        if self._refused(error):
            return None
        try:
            self._alive()
        except Exception as silence:
            return silence
        self._answered()
        return None

    def _answered(self) -> None:
        if self._out is not None and not self._closed:
            self._out = None
            self._back()
