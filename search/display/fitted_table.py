"""A table that fits its console by leaving columns out: no cell is ever cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

__all__ = ["FittedTable", "TableColumn"]

_GAP = 2
_ENDLESS = 10_000
"""Characters of a line of words, where the width of the console does not matter."""


@dataclass(frozen=True)
class TableColumn:
    """One column, with a cell for each row.

    Attributes:
        rank: where there is no room for all columns, those of low rank stay; those of rank 0 always do.
        left: whether text begins at the left, as words do and numbers do not.
        shorter: the same cells with less in them, tried in turn before the column is left out.
    """

    header: str
    cells: Sequence[str]
    rank: int = 0
    left: bool = False
    shorter: Sequence[Sequence[str]] = ()

    @property
    def width(self) -> int:
        """Characters of the longest cell, or of the header."""
        return max(cell_len(text) for text in (self.header, *self.cells))

    def editions(self) -> Iterator[TableColumn]:
        """Iterate over the column, then its shorter forms."""
        yield self
        for cells in self.shorter:
            yield replace(self, cells=cells)


@dataclass(frozen=True)
class FittedTable:
    """Columns side by side, as many as the console has room for; print it with ``soft_wrap=True``.

    Attributes:
        wide: show all columns, however wide the console is.
        marked: row that is set in bold; ``None`` for none.
        intro: lines above, broken between words.
        notes: lines below, likewise.
        hint: what shows the columns that were left out, in words.
    """

    columns: Sequence[TableColumn]
    title: str | None = None
    wide: bool = False
    marked: int | None = None
    intro: Sequence[str] = ()
    notes: Sequence[str] = ()
    hint: str = "--wide"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        kept = self.kept(None if self.wide else options.max_width)
        width = _ENDLESS if self.wide else options.max_width
        words = options.update(width=width, no_wrap=False, overflow="fold")
        title = [Text(self.title, style="italic")] if self.title is not None else []
        for text in (*map(Text, self.intro), *title):
            yield from console.render(text, words)
        if kept:
            yield from console.render(_table(kept, self.marked), options.update(width=_width(kept)))
        headers = {column.header for column in kept}
        left_out = [column.header for column in self.columns if column.header not in headers]
        shown = [f"not shown at this width: {', '.join(left_out)} ({self.hint})"] if left_out else []
        for line in (*self.notes, *shown):
            yield from console.render(Text(line), words)

    def kept(self, width: int | None) -> list[TableColumn]:
        """Return the columns that a width has room for, in their order; all without a width."""
        chosen: dict[int, TableColumn] = {}
        left = width
        for index in sorted(range(len(self.columns)), key=lambda i: self.columns[i].rank):
            gap = _GAP if chosen else 0
            editions = self.columns[index].editions()
            fits = next((e for e in editions if left is None or not e.rank or e.width + gap <= left), None)
            if fits is not None:
                chosen[index] = fits
                left = None if left is None else left - fits.width - gap
        return [chosen[index] for index in sorted(chosen)]


def _width(columns: Sequence[TableColumn]) -> int:
    return sum(column.width for column in columns) + _GAP * (len(columns) - 1)


def _table(columns: Sequence[TableColumn], marked: int | None) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(Text(column.header), justify="left" if column.left else "right", no_wrap=True)
    for index, cells in enumerate(zip(*(column.cells for column in columns), strict=True)):
        table.add_row(*map(Text, cells), style="bold green" if index == marked else None)
    return table
