"""Ctrl-C and SIGTERM as a request to stop, while a search runs on the command line."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["stop_flag"]


@contextmanager
def stop_flag() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C (or SIGTERM) into a request, which the function given tells; the second one interrupts."""
    raised = False

    def take(number: int, _frame: FrameType | None) -> None:
        nonlocal raised
        if raised:
            raise KeyboardInterrupt
        raised = True

    previous = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: raised
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
