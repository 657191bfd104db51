"""The searches under a root as a table in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from palettune.search.display.fitted_table import FittedTable, TableColumn
from palettune.search.results.formatting import digits
from palettune.search.study.search_list import ListedSearch

__all__ = ["search_list_table"]


def search_list_table(found: Sequence[ListedSearch], root: Path, *, wide: bool = False) -> FittedTable:
    """A line for each search, with what its front reaches and when it was last written to, in local time."""
    columns = [
        TableColumn("search", [item.name for item in found], left=True),
        TableColumn("state", [item.state.value for item in found], left=True),
        TableColumn("evaluations", [str(item.evaluations + item.escalations) for item in found], rank=1),
        TableColumn("front", [str(item.members) for item in found], rank=4),
        TableColumn("size MB", [_range(item.smallest_mb, item.largest_mb) for item in found], rank=2),
        TableColumn("divergence", [_range(item.least_divergence, item.most_divergence) for item in found], rank=3),
        TableColumn(
            "last change", [f"{item.changed.astimezone():%Y-%m-%d %H:%M}" for item in found], rank=2, left=True
        ),
    ]
    notes = [] if found else [f"no search under {root}"]
    return FittedTable(columns if found else (), None, wide, notes=notes, hint="a wider terminal, or --json")


def _range(low: float | None, high: float | None) -> str:
    return "-" if low is None else f"{digits(low)} - {digits(high)}"
