"""Every ``palettune`` command of the pages is one that the real command line takes."""

import re
import shlex

import pytest
import typer

from palettune.search.command_line.cli import app
from tests.docs.pages import ROOT, blocks, pages, spans

COMMANDS = typer.main.get_command(app)
LANGUAGES = {"sh", "toml", "python", "text", "json", "csv", "yaml"}
PAGES = pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))


def of_blocks(page):
    """Commands of shell blocks, without what follows on the line."""
    for block in blocks(page):
        for line in block.text.replace("\\\n", " ").splitlines() if block.language == "sh" else []:
            words = shlex.split(line, comments=True)
            if words[:1] == ["palettune"]:
                yield words[1:]


def of_spans(page):
    """Commands of inline code: ``[--json]`` is optional, ``a|b`` a choice; an unfinished one (``...``) is none."""
    for span in spans(page):
        words = shlex.split(re.sub(r"[\[\]]", " ", span)) if span.startswith("palettune ") else []
        if words and "..." not in span and not words[1].startswith("-") and "|" not in words[1]:
            yield words[1:]


def parse(words):
    """Parse as the command line does, and run nothing, not even options that act at once (``--version``)."""
    command_line = typer.main.get_command(app)
    for command in (command_line, *command_line.commands.values()):
        command.callback = lambda **_: None
        for parameter in command.params:
            parameter.callback = None
    if words[0].startswith("-"):  # an option of the whole command line, which otherwise asks for a command
        words = [*words, "inspect", "a.toml"]
    command_line(list(words), standalone_mode=False)


def refusal(words):
    """What the command line says when it refuses its arguments."""
    try:
        parse(words)
    except Exception as error:
        return error.format_message()  # of usage errors alone
    return ""


@PAGES
def test_commands_in_blocks_parse(page):
    for words in of_blocks(page):
        parse(words)


@PAGES
def test_commands_in_inline_code_have_known_options(page):
    for words in of_spans(page):
        known = {option for parameter in COMMANDS.commands[words[0]].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, words


@PAGES
def test_blocks_say_their_language(page):
    assert [str(block) for block in blocks(page) if block.language not in LANGUAGES] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["serch", "a.toml"], "serch"),
        (["search"], "EXPERIMENT.toml"),
        (["search", "a.toml", "--rot", "x"], "--rot"),
        (["solve", "a", "--max-size-mb", "x"], "--max-size-mb"),
    ],
)
def test_what_the_command_line_refuses_is_found(words, said):
    assert said in refusal(words)


def test_commands_are_found():
    assert sum(1 for page in pages() for _ in of_blocks(page)) > 10
    assert sum(1 for page in pages() for _ in of_spans(page)) > 10


@pytest.mark.parametrize("command", sorted(set(COMMANDS.commands) - {"bench-worker"}))
def test_every_command_is_in_the_readme(command):
    assert any(words[0] == command for words in of_spans(ROOT / "README.md")), f"README names no `palettune {command}`"
