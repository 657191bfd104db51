"""Ctrl-C and SIGTERM as a request to stop, while a search runs on the command line.

The request is acknowledged at once, and obeyed within seconds whatever is under way: where nobody has asked for it by
then, the main thread is interrupted, and where that does not help either (it is deep in a library), the process ends.
Each leaves a search that can be gone on with, as one that was killed can.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["StopFlag", "stop_flag"]

ACKNOWLEDGED = "stopping: what is under way ends within seconds, and nothing is lost; Ctrl-C again ends at once"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE = 2.0
"""Seconds that the search has to ask before it is interrupted."""
_TRIES = 5
"""Interruptions, each after the same time, before the process is ended."""
_EXIT_CODE = 130


class StopFlag:
    """Tells, when it is called, whether a stop was asked for.

    Args:
        say: prints the acknowledgement, from a thread of its own.
        patience: seconds between the request and an interruption, and between two of these.
        end: ends the process where interruptions do not.
    """

    def __init__(self, say: Callable[[str], None], patience: float, end: Callable[[int], object]) -> None:
        self._say, self._patience, self._end = say, patience, end
        self._obeyed = threading.Event()
        self._main = threading.main_thread().ident
        self.raised = False

    def __call__(self) -> bool:
        """Return whether a stop was asked for; who asks is taken to stop by itself."""
        if self.raised:
            self._obeyed.set()
        return self.raised

    def take(self, _number: int, _frame: FrameType | None) -> None:
        """Handle a signal: the first one asks, every other one interrupts."""
        if self.raised:
            raise KeyboardInterrupt
        self.raised = True

    def watch(self, signals: socket.socket) -> None:
        """Acknowledge the first signal, and see that it is obeyed; ends when the socket is closed."""
        while (number := signals.recv(1)) and number[0] not in _SIGNALS:
            pass
        if not number:
            return
        self._say(ACKNOWLEDGED)
        for _ in range(_TRIES):
            if self._obeyed.wait(self._patience):
                return
            assert self._main is not None
            signal.pthread_kill(self._main, signal.SIGINT)
        if not self._obeyed.wait(self._patience):
            self._end(_EXIT_CODE)

    def obeyed(self) -> None:
        """Note that the work under way has ended."""
        self._obeyed.set()


def _to_stderr(words: str) -> None:
    os.write(2, f"\n{words}\n".encode())  # not by a buffer, whose lock may be held


def _end(code: int) -> None:
    from palettune.search.library_internals import end_process

    end_process(code)


@contextmanager
def stop_flag(
    say: Callable[[str], None] = _to_stderr,
    *,
    patience: float = _PATIENCE,
    end: Callable[[int], object] = _end,
) -> Iterator[StopFlag]:
    """Turn the first Ctrl-C (or SIGTERM) into a request, which the flag given tells; the second one interrupts."""
    flag = StopFlag(say, patience, end)
    receiving, sending = socket.socketpair()
    sending.setblocking(False)
    thread = threading.Thread(target=flag.watch, args=(receiving,), name="stop flag", daemon=True)
    thread.start()
    handlers = {number: signal.signal(number, flag.take) for number in _SIGNALS}
    woken = signal.set_wakeup_fd(sending.fileno(), warn_on_full_buffer=False)
    try:
        yield flag
    finally:
        flag.obeyed()
        signal.set_wakeup_fd(woken)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sending.close()
        thread.join()
        receiving.close()
