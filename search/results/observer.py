"""Observers of a search: a console, MLflow, a notebook, a test."""

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
    """Observer of one search: override what is of interest; the other methods do nothing.

    Calls come from the thread that runs the search, in order. The history is the search's own, up to date at every
    call: read it, and change nothing.
    """

    def on_prepared(self, preparation: Preparation) -> None:
        """Receive the prepared experiment, once it is checked."""

    def on_search_started(self, history: SearchHistory) -> None:
        """Receive the history before the first trial is asked for; it holds the trials of earlier sessions."""

    def on_trial_finished(self, record: Record, history: SearchHistory) -> None:
        """Receive a data-free trial that was told; the history holds it."""

    def on_escalation_finished(self, record: Record, history: SearchHistory) -> None:
        """Receive an escalated evaluation that was told; the history holds it."""

    def on_measured(self, record: Record, measurement: Measurement, history: SearchHistory) -> None:
        """Receive the measurement of a configuration on the device; the history's front is ranked by it."""

    def on_finished(self, ending: Ending, history: SearchHistory) -> None:
        """Receive the ending; called once for every ``on_search_started``, whatever the reason."""


class Observers(SearchObserver):
    """Several observers as one: each hears everything, in the order given."""

    def __init__(self, observers: Sequence[SearchObserver]) -> None:
        self._all = tuple(observers)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Report the stage to every observer."""
        with ExitStack() as stack:
            for observer in self._all:
                stack.enter_context(observer.stage(name))
            yield

    @contextmanager
    def bar(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Report the work to every observer."""
        with ExitStack() as stack:
            advances = [stack.enter_context(observer.bar(name, total)) for observer in self._all]

            def advance(amount: int) -> None:
                for one in advances:
                    one(amount)

            yield advance

    def say(self, message: str) -> None:
        """Report the message to every observer."""
        for observer in self._all:
            observer.say(message)

    def warn(self, message: str) -> None:
        """Report the warning to every observer."""
        for observer in self._all:
            observer.warn(message)

    def on_prepared(self, preparation: Preparation) -> None:
        """Call every observer's ``on_prepared``."""
        for observer in self._all:
            observer.on_prepared(preparation)

    def on_search_started(self, history: SearchHistory) -> None:
        """Call every observer's ``on_search_started``."""
        for observer in self._all:
            observer.on_search_started(history)

    def on_trial_finished(self, record: Record, history: SearchHistory) -> None:
        """Call every observer's ``on_trial_finished``."""
        for observer in self._all:
            observer.on_trial_finished(record, history)

    def on_escalation_finished(self, record: Record, history: SearchHistory) -> None:
        """Call every observer's ``on_escalation_finished``."""
        for observer in self._all:
            observer.on_escalation_finished(record, history)

    def on_measured(self, record: Record, measurement: Measurement, history: SearchHistory) -> None:
        """Call every observer's ``on_measured``."""
        for observer in self._all:
            observer.on_measured(record, measurement, history)

    def on_finished(self, ending: Ending, history: SearchHistory) -> None:
        """Call every observer's ``on_finished``."""
        for observer in self._all:
            observer.on_finished(ending, history)
