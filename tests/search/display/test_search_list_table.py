"""The searches under a root, in a terminal."""

import io
from datetime import UTC, datetime
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console

from palettune.search.display.search_list_table import search_list_table
from palettune.search.study.search_list import ListedSearch, SearchState


def printed(*found, width=80):
    buffer = io.StringIO()
    Console(file=buffer, width=width).print(search_list_table(found, Path("runs")), soft_wrap=True)
    return buffer.getvalue()


def listed(name, *ends, state=SearchState.FINISHED):
    return ListedSearch(name, state, 96, 12, 31, *(ends or (None,) * 4), datetime(2026, 1, 2, 3, 4, tzinfo=UTC))


def test_each_search_is_one_line_at_80_columns():
    shown = printed(
        listed("efficientnet_lite0", 1.5712, 9.4123, 0.0000123, 4.3211), listed("b", state=SearchState.RUNNING)
    )
    assert all(cell_len(line) <= 80 for line in shown.splitlines())
    (row,) = (line for line in shown.splitlines() if line.startswith("efficientnet_lite0"))
    assert "finished" in row
    assert "1.57 - 9.41  1.23e-05 - 4.32" in row
    assert "not shown" not in shown
    (other,) = (line for line in shown.splitlines() if line.startswith("b "))
    assert "running" in other
    assert "108" in other


def test_an_empty_root_is_said():
    assert printed() == "no search under runs\n"
