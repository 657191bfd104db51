"""The searches under a root: what each has found, and whether it is going on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from palettune.search.experiment.folder_lock import is_held
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.study.storage import open_storage
from palettune.search.study.study_summary import StudySummary, study_summary
from palettune.space.errors import UserError

__all__ = ["ListedSearch", "SearchState", "list_searches"]


class SearchState(StrEnum):
    """State of a search."""

    RUNNING = "running"
    STOPPED = "stopped"
    FINISHED = "finished"
    EMPTY = "no trials"
    UNREADABLE = "cannot be read"


@dataclass(frozen=True)
class ListedSearch:
    """One search.

    Attributes:
        name: of the experiment, and of its run folder.
        state: ``stopped`` where nobody noted that it came to its end, and trials were begun or are waiting.
        evaluations, escalations: how many there are.
        members: of the front.
        smallest_mb, largest_mb: size of the front's ends, in 10^6 bytes; ``None`` without a front.
        least_divergence, most_divergence: of the front's members.
        changed: when something was last written to the study.
    """

    name: str
    state: SearchState
    evaluations: int
    escalations: int
    members: int
    smallest_mb: float | None
    largest_mb: float | None
    least_divergence: float | None
    most_divergence: float | None
    changed: datetime

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "state": self.state.value, "changed": self.changed.isoformat(timespec="seconds")}


def list_searches(
    root: str | Path = "runs", ended: Callable[[RunFolder], bool | None] = lambda folder: None
) -> list[ListedSearch]:
    """List the searches that have a run folder under a root, the latest first; those in databases are left out.

    Args:
        ended: whether a search came to its own end; ``None`` where nobody noted that.

    Raises:
        UserError: there is no such folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; --root names the folder of all runs")
    folders = [RunFolder(root, path.name) for path in root.iterdir()]
    found = [_listed(folder, ended(folder)) for folder in folders if folder.journal.exists() or is_held(folder)]
    return sorted(found, key=lambda item: item.changed, reverse=True)


def _listed(folder: RunFolder, ended: bool | None) -> ListedSearch:
    file = folder.journal if folder.journal.exists() else folder.path
    changed = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    try:
        found = study_summary(open_storage(folder, None), folder.name) if folder.journal.exists() else None
        state = _state(folder, found, ended)
    except (UserError, KeyError, TypeError, ValueError):  # written by something else, or by half
        found, state = None, SearchState.UNREADABLE
    summary = found or StudySummary(0, 0, 0, ())
    sizes = [size for size, _ in summary.front if size is not None]
    divergences = [divergence for _, divergence in summary.front]
    ends = (*_ends(sizes), *_ends(divergences))
    return ListedSearch(
        folder.name, state, summary.evaluations, summary.escalations, len(summary.front), *ends, changed
    )


def _state(folder: RunFolder, found: StudySummary | None, ended: bool | None) -> SearchState:
    if is_held(folder):
        return SearchState.RUNNING
    if found is None or not found.evaluations:
        return SearchState.EMPTY if found is None or not found.unfinished else SearchState.STOPPED
    complete = not found.unfinished if ended is None else ended  # a small budget leaves trials waiting at its end
    return SearchState.FINISHED if complete else SearchState.STOPPED


def _ends(values: Sequence[float]) -> tuple[float | None, float | None]:
    return (min(values), max(values)) if values else (None, None)
