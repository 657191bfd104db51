"""The searches under a root as a table in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from palettune.search.display.fitted_table import FittedTable, TableColumn
from palettune.search.study.search_list import ListedSearch

__all__ = ["search_list_table"]


def search_list_table(found: Sequence[ListedSearch], root: Path, *, wide: bool = False) -> FittedTable:
    """Return a line for each search: what its front reaches, and when it was last written to, in local time."""
    columns = [
        TableColumn("search", [item.name for item in found], left=True),
        TableColumn("state", [item.state.value for item in found], left=True),
        TableColumn("trials", [str(item.evaluations + item.escalations) for item in found], rank=1),
        TableColumn("size MB", [_range(item.smallest_mb, item.largest_mb, ".2f") for item in found], rank=2),
        TableColumn(
            "divergence", [_range(item.least_divergence, item.most_divergence, ".3g") for item in found], rank=3
        ),
        TableColumn("last change", [_moment(item.changed) for item in found], rank=2, left=True),
    ]
    notes = [] if found else [f"no search under {root}"]
    return FittedTable(columns if found else (), None, wide, notes=notes, hint="a wider terminal, or --json")


def _range(low: float | None, high: float | None, form: str) -> str:
    return "-" if low is None else f"{low:{form}} - {high:{form}}"


def _moment(moment: datetime) -> str:
    """As in ``28 Nov 16:04``, or ``28 Nov 2025`` of another year."""
    local = moment.astimezone()
    return f"{local:%d %b %H:%M}" if local.year == datetime.now().year else f"{local:%d %b %Y}"
