"""A search in a notebook: one output that follows it, with the front as it grows."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Protocol

from palettune.device_bench.measurement.measurement import Measurement
from palettune.search.display.run_page import front_image
from palettune.search.preparation.preparation import Preparation
from palettune.search.results.ending import Ending
from palettune.search.results.observer import SearchObserver
from palettune.search.results.search_history import SearchHistory
from palettune.search.study.record import Record

__all__ = ["NotebookObserver", "in_notebook"]

_PICTURE_SECONDS = 2.0
_TEXT_SECONDS = 0.2


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


class _Screen(Protocol):
    def show(self, html: str) -> None:
        """Replace what is shown."""

    def line(self, text: str) -> None:
        """Add a line, where nothing can be replaced."""


class _CellOutput:
    """The output of the cell that runs the search, replaced at every step."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._handle = display(HTML(""), display_id=True)

    def show(self, html: str) -> None:
        self._handle.update(self._html(html))

    def line(self, text: str) -> None:
        """Nothing: the page says it."""


class _PlainText:
    """Lines, outside a notebook."""

    def show(self, html: str) -> None:
        """Nothing: lines say it."""

    def line(self, text: str) -> None:
        print(text, flush=True)


class NotebookObserver(SearchObserver):
    """Observer that shows stages, budget, notes and the live front in a notebook's cell; plain lines elsewhere.

    Args:
        picture_seconds: at least this long between two drawings of the front.
    """

    def __init__(self, picture_seconds: float = _PICTURE_SECONDS) -> None:
        self._screen: _Screen = _CellOutput() if in_notebook() else _PlainText()
        self._picture_seconds = picture_seconds
        self._drawn = self._shown = 0.0
        self._doing, self._share = "", 0.0
        self._notes: list[str] = []
        self._figures, self._picture = "", ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Name what is being done."""
        self._begin(name)
        yield
        self._doing = ""

    @contextmanager
    def bar(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Name what is being done, and its share that is done."""
        done = 0
        self._begin(name)

        def advance(amount: int) -> None:
            nonlocal done
            done += amount
            self._doing, self._share = f"{name}: {done} of {total}", done / max(total, 1)
            self._show()

        yield advance
        self._doing = ""

    def say(self, message: str) -> None:
        """Keep a sentence in view."""
        self._note(message)

    def warn(self, message: str) -> None:
        """Keep a note in view."""
        self._note(f"note: {message}")

    def on_prepared(self, preparation: Preparation) -> None:
        """Say what is about to be searched, and what the user should know of it."""
        for words in preparation.notes:
            self.warn(words)
        found = preparation.reach
        self.say(
            f"{len(preparation.layers)} layers; reachable sizes {found.smallest_bytes / 1e6:.3f} to "
            f"{found.largest_bytes / 1e6:.3f} MB; divergence: {preparation.kind.value}"
        )

    def on_search_started(self, history: SearchHistory) -> None:
        """Show what an earlier session found."""
        self._follow(history)

    def on_trial_finished(self, record: Record, history: SearchHistory) -> None:
        """Update the display with a finished trial."""
        self._follow(history)

    def on_escalation_finished(self, record: Record, history: SearchHistory) -> None:
        """Update the display with a finished escalation."""
        self._follow(history)

    def on_measured(self, record: Record, measurement: Measurement, history: SearchHistory) -> None:
        """Note a latency that was measured on the device."""
        self._note(f"trial {record.trial} measured on {measurement.device}: {measurement.median_ms:.3f} ms")
        self._follow(history)

    def on_finished(self, ending: Ending, history: SearchHistory) -> None:
        """Show the front as it is at the end."""
        self._follow(history, last=True)
        self._doing = ending.value
        self._show(at_once=True)
        self._screen.line(ending.value)

    def _begin(self, name: str) -> None:
        self._doing, self._share = f"{name} ...", 0.0
        self._screen.line(f"{name} ...")
        self._show(at_once=True)

    def _note(self, text: str) -> None:
        self._notes.append(text)
        self._screen.line(text)
        self._show(at_once=True)

    def _follow(self, history: SearchHistory, last: bool = False) -> None:
        budget, front = history.experiment.budget.trials, history.front
        escalated = f", {len(history.escalations)} escalations" if history.escalations else ""
        self._figures = (
            f"{history.evaluated} of {budget} trials{escalated}; {len(front.members)} on the front; "
            f"hypervolume {history.hypervolume:.4f}"
        )
        self._doing, self._share = "searching", history.evaluated / budget
        self._screen.line(self._figures)
        now = time.monotonic()
        if isinstance(self._screen, _CellOutput) and (last or now - self._drawn > self._picture_seconds):
            self._picture = front_image(history.experiment.name, history.records, front)
            self._drawn = time.monotonic()
        self._show()

    def _show(self, at_once: bool = False) -> None:
        now = time.monotonic()
        if at_once or now - self._shown > _TEXT_SECONDS:
            self._shown = now
            self._screen.show(self._page())

    def _page(self) -> str:
        doing = f'{escape(self._doing)} <progress value="{self._share:.3f}" max="1"></progress>' if self._doing else ""
        notes = "".join(f"<li>{escape(note)}</li>" for note in self._notes[-8:])
        return f"<div>{doing}<br>{escape(self._figures)}<ul>{notes}</ul>{self._picture}</div>"
