"""What the command line prints with."""

import io
import json
import logging
import warnings

from rich.console import Console

from palettune.search.command_line.printing import (
    print_json,
    print_lines,
    print_notes,
    print_sentences,
    print_table,
    silence_libraries,
    wide_console,
)
from palettune.search.display.fitted_table import FittedTable, TableColumn


def test_lines_are_printed_as_they_are():
    printed = io.StringIO()
    lines = ["a path of /many/folders/that/is/longer/than/the/console", "[bold]no markup[/bold]", "x = [1, 2]"]
    print_lines(Console(file=printed, width=20, force_terminal=True), lines)
    assert printed.getvalue().splitlines() == lines


def test_sentences_are_broken_between_words_and_what_is_to_be_copied_is_not():
    sentence, command = "one two three [four] five six seven", "  palettune export experiment.toml --pick 3"
    for terminal, lines in ((True, ["one two three", "[four] five six", "seven"]), (False, [sentence])):
        printed = io.StringIO()
        print_sentences(Console(file=printed, width=16, force_terminal=terminal), [sentence, command])
        assert [line.rstrip() for line in printed.getvalue().splitlines()] == [*lines, command]


def test_notes_are_kept_from_what_a_program_reads(capsys):
    print_notes(["one thing", "another"])
    print_json({"a": [1, None]})
    captured = capsys.readouterr()
    assert captured.err.splitlines() == ["note: one thing", "note: another"]
    assert json.loads(captured.out) == {"a": [1, None]}


def test_a_table_that_is_wider_than_the_console_is_whole():
    printed = io.StringIO()
    words = "0.123456789 " * 20
    print_table(Console(file=printed, width=20), FittedTable([TableColumn("figures", [words])]))
    assert words.strip() in printed.getvalue()


def test_a_table_has_room_where_there_is_no_terminal(capsys):
    assert wide_console().width == 170


def test_libraries_warn_nobody(capsys):
    levels = {name: logging.getLogger(name).level for name in ("coremltools", "mlflow", "alembic", "ray", "torch")}
    try:
        with warnings.catch_warnings():
            silence_libraries()
            warnings.warn("old", stacklevel=1)
            logging.getLogger("coremltools").warning("new")
        assert capsys.readouterr() == ("", "")
        assert not any(logging.getLogger(name).isEnabledFor(logging.WARNING) for name in levels)
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
