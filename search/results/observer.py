"""What a search tells those who watch it: a console, MLflow, a notebook, a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from palettune.device_bench.measurement.measurement import Measurement
from palettune.search.experiment.reporter import Reporter
from palettune.search.results.ending import Ending
from palettune.search.results.search_history import SearchHistory
from palettune.search.study.record import Record

if TYPE_CHECKING:
    from palettune.search.preparation.preparation import Preparation

__all__ = ["Observers", "SearchObserver"]


class SearchObserver(Reporter):
    """Watches one search: override what is of interest, the rest does nothing.

    Calls come from the thread that runs the search, in order. The history is the search's own, up to date at every
    call: read it, and change nothing.
    """

    def on_prepared(self, preparation: Preparation) -> None:
        """The experiment is checked, and what is to be searched is known."""

    def on_search_started(self, history: SearchHistory) -> None:
        """The first trial is about to be asked for; an earlier session's are in the history."""

    def on_trial_finished(self, record: Record, history: SearchHistory) -> None:
        """A data-free trial was told; the history holds it."""

    def on_escalation_finished(self, record: Record, history: SearchHistory) -> None:
        """An escalated evaluation was told; the history holds it."""

    def on_measured(self, record: Record, measurement: Measurement, history: SearchHistory) -> None:
        """A configuration was measured on the device; the history's front is ranked by it."""

    def on_finished(self, ending: Ending, history: SearchHistory) -> None:
        """Nothing more comes, whatever the reason; called once for every ``on_search_started``."""


class Observers(SearchObserver):
    """Several observers as one: each hears everything, in the order given."""

    def __init__(self, observers: Sequence[SearchObserver]) -> None:
        self._all = tuple(observers)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """To each."""
        with ExitStack() as stack:
            for observer in self._all:
                stack.enter_context(observer.stage(name))
            yield

    @contextmanager
    def bar(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """To each."""
        with ExitStack() as stack:
            advances = [stack.enter_context(observer.bar(name, total)) for observer in self._all]

            def advance(amount: int) -> None:
                for one in advances:
                    one(amount)

            yield advance

    def say(self, message: str) -> None:
        """To each."""
        for observer in self._all:
            observer.say(message)

    def warn(self, message: str) -> None:
        """To each."""
        for observer in self._all:
            observer.warn(message)

    def on_prepared(self, preparation: Preparation) -> None:
        """To each."""
        for observer in self._all:
            observer.on_prepared(preparation)

    def on_search_started(self, history: SearchHistory) -> None:
        """To each."""
        for observer in self._all:
            observer.on_search_started(history)

    def on_trial_finished(self, record: Record, history: SearchHistory) -> None:
        """To each."""
        for observer in self._all:
            observer.on_trial_finished(record, history)

    def on_escalation_finished(self, record: Record, history: SearchHistory) -> None:
        """To each."""
        for observer in self._all:
            observer.on_escalation_finished(record, history)

    def on_measured(self, record: Record, measurement: Measurement, history: SearchHistory) -> None:
        """To each."""
        for observer in self._all:
            observer.on_measured(record, measurement, history)

    def on_finished(self, ending: Ending, history: SearchHistory) -> None:
        """To each."""
        for observer in self._all:
            observer.on_finished(ending, history)
