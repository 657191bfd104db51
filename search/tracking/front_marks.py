"""Marks of the front on MLflow's runs: who is a member, and who is the knee; set and removed as the front moves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from palettune.search.results.front import Front

__all__ = ["FrontMarks"]

FRONT, KNEE = "front", "knee"


@dataclass(frozen=True)
class FrontMarks:
    """The members of a front by their trials, and its knee.

    Attributes:
        note: of the search's own run, in Markdown.
    """

    members: frozenset[int] = frozenset()
    knee: int | None = None
    note: str = ""

    @classmethod
    def of(cls, front: Front, note: str = "") -> FrontMarks:
        """Return the marks of a front."""
        if not front.members:
            return cls(note=note)
        return cls(frozenset(record.trial for record in front.members), front.knee().trial, note)

    def tags(self, trial: int) -> frozenset[str]:
        """Return the names of the tags of a trial's run, among ``front`` and ``knee``."""
        marks = ((FRONT, trial in self.members), (KNEE, trial == self.knee))
        return frozenset(name for name, holds in marks if holds)

    @staticmethod
    def held(tags: Iterable[str]) -> frozenset[str]:
        """Return the marks among the names of a run's tags."""
        return frozenset(tags) & {FRONT, KNEE}
