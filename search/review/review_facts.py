"""Facts that a search notes for its review, since nothing else in the run folder tells them without the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from palettune.search.results.ending import Ending

__all__ = ["Phase", "ReviewFacts", "Uncompressed", "came_to_its_end"]


@dataclass(frozen=True)
class Phase:
    """A stage of a search, in seconds since the epoch."""

    name: str
    begin: float
    end: float


@dataclass(frozen=True)
class Uncompressed:
    """A large constant that is no layer's weight, and why."""

    name: str
    bytes: int
    reason: str


@dataclass(frozen=True)
class ReviewFacts:
    """Facts of one search; an older version's has fewer.

    Attributes:
        search_id: of the search; empty where nothing was noted.
        coverage: bytes of layers over those of all large constants; ``None`` where nobody noted it.
        uncompressed: the large constants that are no layers, the largest first.
        notes: what a reader should know of how the model and its data were taken.
        phases: of every session so far.
        ending: why the last session came to its end; ``None`` while it runs, or where it was killed.
    """

    search_id: str = ""
    coverage: float | None = None
    uncompressed: tuple[Uncompressed, ...] = ()
    notes: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()
    ending: Ending | None = None

    def after(self, earlier: ReviewFacts) -> ReviewFacts:
        """Return the facts joined with those of earlier sessions of the same search.

        A session that only adds evaluations notes neither what is known of the model nor how the search ended.
        """
        if earlier.search_id != self.search_id:
            return replace(self, ending=None) if self.ending is Ending.ADDED else self
        found = replace(self, phases=(*earlier.phases, *self.phases))
        if self.coverage is None:
            found = replace(found, coverage=earlier.coverage, uncompressed=earlier.uncompressed, notes=earlier.notes)
            found = replace(found, ending=earlier.ending)
        return found

    def save(self, path: Path) -> None:
        """Write them, atomically."""
        values = asdict(self) | {"ending": self.ending and self.ending.value}
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps(values, indent=1) + "\n")
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> ReviewFacts:
        """Read them; none where nothing was noted, or by a version that wrote something else."""
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            return cls._of(json.loads(path.read_text()))
        return cls()

    @classmethod
    def _of(cls, values: Mapping[str, Any]) -> ReviewFacts:
        listed: Sequence[Mapping[str, Any]] = values["uncompressed"]
        return cls(
            values["search_id"],
            values["coverage"],
            tuple(Uncompressed(**item) for item in listed),
            tuple(values["notes"]),
            tuple(Phase(**item) for item in values["phases"]),
            Ending(values["ending"]) if values["ending"] is not None else None,
        )


def came_to_its_end(path: Path) -> bool | None:
    """Return whether the search of a file of facts came to its own end; ``None`` where that was not noted."""
    ending = ReviewFacts.load(path).ending
    return None if ending is None else ending.complete
