"""Source of a review: a search as its run folder holds it, or as it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from palettune.device_bench.cost.latency_model import LatencyModel
from palettune.evaluators.sensitivity.scores import Scores, ScoresError
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.folder_lock import is_held
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.results.ending import Ending
from palettune.search.results.front import Front
from palettune.search.review.review_facts import ReviewFacts
from palettune.search.study.record import Record
from palettune.search.study.study_context import StudyContext

if TYPE_CHECKING:
    from palettune.search.results.search_history import SearchHistory

__all__ = ["ReviewSource"]


@dataclass(frozen=True)
class ReviewSource:
    """One search at one moment; nothing of it changes any more.

    Attributes:
        records: every finished evaluation, in the order in which they were told.
        front: with its confirmations.
        scores: ``None`` where they are not there any more.
        latency: of the experiment's device, as measurements taught it; ``None`` without one.
        searching: whether a search is at work on it.
        storage: of the study, where it is not in the run folder.
    """

    experiment: Experiment
    folder: RunFolder
    context: StudyContext
    records: Sequence[Record]
    front: Front
    scores: Scores | None = None
    latency: LatencyModel | None = None
    facts: ReviewFacts = field(default_factory=ReviewFacts)
    notes: tuple[str, ...] = ()
    searching: bool = False
    storage: str | None = None

    @classmethod
    def of(
        cls,
        history: SearchHistory,
        folder: RunFolder,
        facts: ReviewFacts,
        storage: str | None,
        *,
        searching: bool = False,
    ) -> ReviewSource:
        """Collect the results of a search that goes on, or has just ended."""
        known = history.known
        return cls(
            history.experiment,
            folder,
            history.study.context,
            tuple(history.records),
            replace(history.front, confirmations=dict(history.confirmations), recipes=history.study.recipes()),
            history.scores,
            known.model or history.latency,
            facts,
            searching=searching,
            storage=storage,
        )

    @classmethod
    def read(
        cls,
        experiment: Experiment,
        folder: RunFolder,
        context: StudyContext,
        records: Sequence[Record],
        front: Front,
        *,
        latency: LatencyModel | None,
        notes: tuple[str, ...],
        storage: str | None,
    ) -> ReviewSource:
        """Collect a search from its run folder, whoever is at work there; without scores where they are gone."""
        facts = ReviewFacts.load(folder.facts)
        return cls(
            experiment,
            folder,
            context,
            records,
            front,
            _scores(folder.scores / context.scores_file),
            latency,
            facts if facts.search_id == context.search_id else ReviewFacts(),
            notes,
            is_held(folder),
            storage,
        )

    @property
    def state(self) -> str:
        """``running``, ``finished`` or ``stopped``."""
        if self.searching:
            return "running"
        return "finished" if self._complete else "stopped"

    @property
    def _complete(self) -> bool:
        ending: Ending | None = self.facts.ending
        if ending is not None:
            return ending.complete
        done = sum(record.answered_from is None and record.escalated_from is None for record in self.records)
        return done >= self.experiment.budget.trials  # runs of versions that noted no ending

    @property
    def options(self) -> str:
        """Return the options by which a command finds this run, besides the experiment."""
        return self.folder.options(self.storage)


def _scores(path: Path) -> Scores | None:
    try:
        return Scores.load(path)
    except ScoresError:
        return None
