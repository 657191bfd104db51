"""The review page as an observer of a search: it is there while the search goes on, and whole when it has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from palettune.device_bench.measurement.measurement import Measurement
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.preparation import Preparation
from palettune.search.preparation.weight_coverage import large_constants
from palettune.search.results.ending import Ending
from palettune.search.results.observer import SearchObserver
from palettune.search.results.search_history import SearchHistory
from palettune.search.review.review_facts import Phase, ReviewFacts, Uncompressed
from palettune.search.review.review_page import write_review
from palettune.search.review.review_source import ReviewSource
from palettune.search.study.record import Record

__all__ = ["ReviewObserver"]

_EVERY = 20.0
"""Seconds between two pages, at least."""
_SHARE = 20.0
"""A page is written after this many times the seconds that the last one took: a twentieth of one core, at most."""


class ReviewObserver(SearchObserver):
    """Observer that notes facts for the review page, and writes the page anew as the search goes on.

    Pages of a search that goes on are written by a thread, from what was known when it began; the last one is written
    before ``on_finished`` returns. A page that cannot be written never ends a search.

    Args:
        warn: told once of a page that cannot be written.
        storage: of the study, where it is not in the run folder.
    """

    def __init__(self, folder: RunFolder, warn: Callable[[str], None], storage: str | None = None) -> None:
        self._folder, self._warn, self._storage = folder, warn, storage
        self._facts = ReviewFacts()
        self._earlier = ReviewFacts()
        self._due = 0.0
        self._thread: threading.Thread | None = None
        self._failed = False

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Note a phase of the search."""
        began = time.time()
        try:
            yield
        finally:
            self._note(name, began)

    @contextmanager
    def bar(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Note a phase of the search."""
        began = time.time()
        try:
            yield lambda amount: None
        finally:
            self._note(name, began)

    def on_prepared(self, preparation: Preparation) -> None:
        """Note what is known of the model alone."""
        others = large_constants(preparation.base.others)
        self._facts = replace(
            self._facts,
            coverage=preparation.coverage,
            uncompressed=tuple(Uncompressed(found.name, found.bytes, found.reason) for found in others),
            notes=preparation.notes,
        )

    def on_search_started(self, history: SearchHistory) -> None:
        """Write the page of what earlier sessions have left."""
        self._facts = replace(self._facts, search_id=history.study.context.search_id)
        self._earlier = ReviewFacts.load(self._folder.facts)
        self._save()
        self._refresh(history)

    def on_trial_finished(self, record: Record, history: SearchHistory) -> None:
        """Write the page, where it is due."""
        self._refresh(history)

    def on_escalation_finished(self, record: Record, history: SearchHistory) -> None:
        """Write the page, where it is due."""
        self._refresh(history)

    def on_measured(self, record: Record, measurement: Measurement, history: SearchHistory) -> None:
        """Write the page, where it is due."""
        self._refresh(history)

    def on_finished(self, ending: Ending, history: SearchHistory) -> None:
        """Write the last page."""
        if self._thread is not None:
            self._thread.join()
        self._facts = replace(self._facts, ending=ending)
        self._save()
        self._write(self._source(history, searching=False))

    def _note(self, name: str, began: float) -> None:
        self._facts = replace(self._facts, phases=(*self._facts.phases, Phase(name, began, time.time())))

    @property
    def _whole(self) -> ReviewFacts:
        return self._facts.after(self._earlier)

    def _save(self) -> None:
        with self._not_ending_the_search():
            self._whole.save(self._folder.facts)

    def _source(self, history: SearchHistory, *, searching: bool) -> ReviewSource:
        return ReviewSource.of(history, self._folder, self._whole, self._storage, searching=searching)

    def _refresh(self, history: SearchHistory) -> None:
        """Begin a page, unless one is being written or the last one is new."""
        if time.monotonic() < self._due or (self._thread is not None and self._thread.is_alive()):
            return
        source = self._source(history, searching=True)
        self._thread = threading.Thread(target=self._write, args=(source,), name="review page", daemon=True)
        self._thread.start()

    def _write(self, source: ReviewSource) -> None:
        began = time.monotonic()
        with self._not_ending_the_search():
            write_review(source, self._folder.review)
        ended = time.monotonic()
        self._due = ended + max(_EVERY, _SHARE * (ended - began))

    @contextmanager
    def _not_ending_the_search(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a page is a view: what is wrong with it is said, and the search goes on
            if not self._failed:
                self._failed = True
                self._warn(f"{self._folder.review}: could not be written ({type(error).__name__}: {error})")
