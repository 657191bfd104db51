"""What applying a configuration gave, as people read it in a terminal."""

from __future__ import annotations

from rich.table import Table

from palettune.search.api.applied import Applied
from palettune.search.results.formatting import digits

__all__ = ["applied_table"]


def applied_table(found: Applied) -> Table:
    """A row for each figure: with the former weights, with the new ones."""
    table = Table(title=f"the same configuration, {found.record.workflow.value}", header_style="bold")
    for column in ("figure", "former weights", "new weights", "difference"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for name, (former, new) in found.rows.items():
        change = f"{new - former:+.4g}" if former is not None and new is not None else "-"
        table.add_row(name, digits(former), digits(new), change)
    if found.former is not None:
        table.caption = f"former: {found.former.source}, {found.former.workflow.value}"
    return table
