"""Tables that fit: columns go, cells never."""

import io

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from palettune.search.display.fitted_table import FittedTable, TableColumn

WORDS = st.text(st.characters(categories=("L", "N", "P", "S")), max_size=24)


def printed(table, width):
    buffer = io.StringIO()
    Console(file=buffer, width=width).print(table, soft_wrap=True)
    return buffer.getvalue()


def columns(*given, **changes):
    return [TableColumn(header, cells, rank, **changes) for header, cells, rank in given]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(WORDS, st.lists(WORDS, min_size=3, max_size=3), st.integers(1, 5)), min_size=1),
    st.integers(10, 90),
)
def test_whatever_is_shown_fits_and_is_whole(given, width):
    table = FittedTable(columns(*given))
    kept = table.kept(width)
    for line in printed(FittedTable(kept), width).splitlines():
        assert cell_len(line) <= width
    for column in kept:
        assert all(cell in printed(table, width) for cell in (column.header, *column.cells))


def test_columns_of_high_rank_go_first_and_are_named():
    table = FittedTable(columns(("size", ["1.234567"], 0), ("why", ["because"], 2), ("how", ["somehow"], 1)))
    assert [column.header for column in table.kept(20)] == ["size", "how"]
    shown = printed(table, 18)
    assert "1.234567  somehow" in shown
    assert "not shown" in shown
    assert "because" in printed(FittedTable(table.columns, wide=True), 18)


def test_a_column_gives_less_before_it_goes():
    summary = TableColumn("layers", ["23 lut4  17 int8"], 1, left=True, shorter=[["23 lut4  +17"]])
    table = FittedTable([TableColumn("trial", ["7"]), summary])
    assert table.kept(30)[1].cells == ["23 lut4  17 int8"]
    assert table.kept(19)[1].cells == ["23 lut4  +17"]
    assert len(table.kept(12)) == 1


def test_what_must_be_shown_is_never_cut_however_narrow_the_console_is():
    table = FittedTable(columns(("divergence", ["0.00012345"], 0), ("size MB", ["12.345"], 0)))
    assert "0.00012345   12.345" in printed(table, 8)


def test_names_are_shown_as_they_are_spelt_though_brackets_are_markup():
    assert "heads[red].w[/x]" in printed(FittedTable(columns(("[b]", ["heads[red].w[/x]"], 0))), 40)
    assert "[b]" in printed(FittedTable(columns(("[b]", ["x"], 0))), 40)


def test_a_table_without_columns_has_its_notes():
    assert printed(FittedTable([], notes=["nothing there"]), 40) == "nothing there\n"


def test_words_around_a_table_are_broken_between_words_and_are_one_line_where_it_may_be_wide():
    sentence = "a sentence of many words " * 8
    table = FittedTable(columns(("size", ["1.5"], 0)), intro=(sentence.strip(),))
    lines = printed(table, 40).splitlines()
    assert lines[0].rstrip() == "a sentence of many words a sentence of"
    assert printed(FittedTable(table.columns, wide=True, intro=table.intro), 40).startswith(f"{sentence.strip()}\n")
