"""The console that everything is printed with: text as it is, without what Rich reads into it."""

from __future__ import annotations

from typing import IO

from rich.console import Console

__all__ = ["text_console"]


def text_console(
    file: IO[str] | None = None, *, stderr: bool = False, width: int | None = None, no_color: bool | None = None
) -> Console:
    """Make a console that leaves colons alone: ``recipe:x:`` and ``blocks:on:conv`` are words here, and no emoji.

    Args:
        file: printed to; the standard output unless it or ``stderr`` is given.
        width: in columns; that of the terminal unless given.
    """
    return Console(file=file, stderr=stderr, width=width, no_color=no_color, emoji=False)
