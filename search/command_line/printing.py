"""Consoles of the command line, and filters for what libraries print."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Iterable

from rich.console import Console, RenderableType

from palettune.search.display.text_console import text_console

__all__ = [
    "print_json",
    "print_lines",
    "print_notes",
    "print_sentences",
    "print_table",
    "silence_libraries",
    "wide_console",
]


def wide_console() -> Console:
    """Return a console for tables: as wide as the terminal, or wide enough for a front where there is none."""
    return text_console() if sys.stdout.isatty() else text_console(width=170)


def print_lines(console: Console, lines: Iterable[str]) -> None:
    """Print lines as they are: no markup, no colours, no line breaks of the console's own."""
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def print_sentences(console: Console, lines: Iterable[str]) -> None:
    """Print sentences, broken between words in a terminal; what begins with a space, to be copied, stays whole."""
    for line in lines:
        whole = line.startswith(" ") or not console.is_terminal
        console.print(line, soft_wrap=whole, highlight=False, markup=False)


def print_table(console: Console, table: RenderableType) -> None:
    """Print a table that may be wider than the console: nothing of it is cut, nor broken into lines."""
    console.print(table, soft_wrap=True)


def print_notes(notes: Iterable[str]) -> None:
    """Print notes on the error stream, so that what is read by a program stays clean."""
    print_lines(text_console(stderr=True), (f"note: {note}" for note in notes))


def print_json(values: object) -> None:
    """Print plain values as indented JSON."""
    print(json.dumps(values, indent=2))


def silence_libraries() -> None:
    """Keep libraries' warnings out of what a user reads."""
    warnings.filterwarnings("ignore")
    for name in ("coremltools", "mlflow", "alembic", "ray", "torch"):
        logging.getLogger(name).setLevel(logging.ERROR)
