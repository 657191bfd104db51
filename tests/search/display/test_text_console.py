"""Text is printed as it is."""

import ast
import io
from pathlib import Path

import pytest

from palettune.search.display.progress import Display
from palettune.search.display.text_console import text_console

ROOT = Path(__file__).parents[3]
ROOMS = ("space", "device_bench", "evaluators", "search", "palettune")
HERE = "search/display/text_console.py"


def makers(source):
    """Lines that make a console of Rich's, or a column of text that reads markup."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    for call in calls:
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        plain = any(word.arg == "markup" and getattr(word.value, "value", True) is False for word in call.keywords)
        if name in ("Console", "from_markup") or (name == "TextColumn" and not plain):
            yield call.lineno


def test_no_other_console_is_made():
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if not path.is_symlink()]
    assert len(files) > 200
    found = {str(path.relative_to(ROOT)): lines for path in files if (lines := list(makers(path.read_text())))}
    assert list(found) == [HERE]


@pytest.mark.parametrize(
    "line", ["Console()", "rich.console.Console(width=3)", "TextColumn('a')", "Text.from_markup('a')"]
)
def test_such_lines_are_found(line):
    assert list(makers(line)) == [1]
    assert list(makers("TextColumn('a', markup=False)")) == []


def test_words_between_colons_stay_words():
    printed = io.StringIO()
    text_console(printed).print("recipe:x: and [bold]blocks:on:conv[/bold]")
    assert printed.getvalue() == "recipe:x: and blocks:on:conv\n"


def test_stages_and_bars_show_their_names_as_they_are(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # takes a file for a terminal
    printed = io.StringIO()
    display = Display(text_console(printed, width=100))
    assert display.console.is_terminal
    with display.stage("stage:on:x"):
        pass
    with display.bar("bar:on:x", 1) as advance:
        advance(1)
    shown = printed.getvalue()
    assert shown.count("stage:on:x") == 2
    assert shown.count("bar:on:x") >= 2
    assert "🔛" not in shown
