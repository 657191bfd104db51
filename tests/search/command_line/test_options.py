"""Arguments and options of the commands."""

from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from palettune.search.command_line import options
from palettune.search.command_line.cli import app

NAMES = [name for name in options.__all__ if name != "RUNS"]


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_explained_and_is_one_of_a_command(name):
    option = getattr(options, name)
    _, word = get_args(option)
    assert word.help
    taken = [hint for c in app.registered_commands for hint in get_type_hints(c.callback, include_extras=True).values()]
    assert option in taken


def test_options_are_read_as_they_are_spelled():
    given = []
    read = typer.Typer()

    @read.command()
    def command(
        experiment: options.ExperimentFile,
        root: options.Root = options.RUNS,
        storage: options.Storage = None,
        pick: options.Pick = None,
        shape: options.InputShapes = None,
        as_json: options.AsJson = False,
        max_size_mb: options.MaxSize = None,
    ) -> None:
        given.append((experiment, root, storage, pick, shape, as_json, max_size_mb))

    words = ["x.toml", "--pick", "knee", "--pick", "3,4", "--shape", "x=1x3", "--json", "--max-size-mb", "1.5"]
    for line in (["x.toml"], words, ["x.toml", "--root", "/r", "--storage", "sqlite:///s"]):
        assert CliRunner().invoke(read, line).exit_code == 0
    assert given == [
        (Path("x.toml"), Path("runs"), None, None, None, False, None),
        (Path("x.toml"), Path("runs"), None, ["knee", "3,4"], ["x=1x3"], True, 1.5),
        (Path("x.toml"), Path("/r"), "sqlite:///s", None, None, False, None),
    ]
    assert CliRunner().invoke(read, ["x.toml", "--max-size-mb", "small"]).exit_code == 2
