"""Result of applying a configuration, as a table in a terminal."""

from __future__ import annotations

from palettune.search.api.applied import Applied
from palettune.search.display.fitted_table import FittedTable, TableColumn
from palettune.search.results.formatting import digits

__all__ = ["applied_table"]


def applied_table(found: Applied) -> FittedTable:
    """Return a row for each figure, with the former weights and with the new ones; print it with ``soft_wrap=True``."""
    rows = found.rows.values()
    changes = [f"{new - old:+.4g}" if old is not None and new is not None else "-" for old, new in rows]
    columns = [
        TableColumn("figure", list(found.rows), left=True),
        TableColumn("former weights", [digits(former) for former, _ in rows]),
        TableColumn("new weights", [digits(new) for _, new in rows]),
        TableColumn("difference", changes),
    ]
    former = [f"former: {found.former.source}, {found.former.workflow}"] if found.former is not None else []
    return FittedTable(columns, f"the same configuration, {found.record.workflow}", notes=former)
