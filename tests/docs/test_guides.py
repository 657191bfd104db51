"""The guides, followed: their files are written as the page says, and their commands run in order."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from palettune.search.command_line.cli import main
from tests.docs.pages import ROOT, blocks
from tests.docs.test_commands import of_spans
from tests.search.conftest import Project

PAGES = (ROOT / "docs" / "guides").glob("*.md")
GUIDES = sorted(
    path.stem for path in PAGES if any(block.title for block in blocks(path))
)  # those that begin with files


def write_files(guide: Path, folder: Path) -> None:
    for block in blocks(guide):
        if block.title:
            (folder / block.title).write_text(block.text)


def commands(guide: Path) -> list[str]:
    """Shell commands of a guide; its Python blocks without a title are one program, which runs last."""
    found = [block for block in blocks(guide) if not block.not_run and not block.title]
    program = "\n".join(block.text for block in found if block.language == "python")
    shell = [line for block in found if block.language == "sh" for line in block.text.splitlines()]
    return [*shell, f"python -c {shlex.quote(program)}"] if program else shell


def run(command: str, folder: Path) -> None:
    """One command of a guide in a process of its own, by this Python, from the guide's folder."""
    ours = f"{sys.executable} -c 'from palettune.search.command_line.cli import main; main()'"
    programs = {"palettune": ours, "python": sys.executable}
    program, _, words = command.partition(" ")
    line = f"{programs[program]} {words}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def is_on_ray(command: str) -> bool:
    """Whether a guide's command starts a cluster."""
    searches = command.startswith("palettune search") or "run_search(" in command
    return searches and "inline" not in command


def followed() -> list[object]:
    """Each guide, marked ``ray`` where one of its commands starts a cluster."""
    pages = {guide: commands(ROOT / "docs" / "guides" / f"{guide}.md") for guide in GUIDES}
    return [pytest.param(g, marks=pytest.mark.ray if any(map(is_on_ray, found)) else ()) for g, found in pages.items()]


@pytest.mark.parametrize("guide", GUIDES)
def test_guides_have_commands_to_follow(guide):
    assert commands(ROOT / "docs" / "guides" / f"{guide}.md")


#: Commands in the order in which one needs another; options where the README's own are placeholders.
OPTIONS = {
    "inspect": None,
    "search": ["--inline"],
    "list": None,
    "front": None,
    "explain": ["knee"],
    "review": ["--no-open"],
    "solve": ["--max-size-mb", "0.1"],
    "export": ["--out", "exported", "--pick", "knee"],
    "apply": ["EXPERIMENT.toml", "--out", "applied"],
    "verify": None,
    "bench": None,
}
#: They serve until they are interrupted; the second also needs a cluster.
SERVERS = {"ui", "bench-worker"}


def succeed(words: list[str], monkeypatch, capsys) -> None:
    """One command line in this process."""
    monkeypatch.setattr(sys, "argv", ["palettune", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0, f"palettune {words}\n{capsys.readouterr()}"


@pytest.mark.slow
@pytest.mark.parametrize("guide", followed())
def test_a_guide_can_be_followed(guide, tmp_path, monkeypatch, capsys):
    """Its programs and searches on Ray in processes of their own; its other commands in this one."""
    page = ROOT / "docs" / "guides" / f"{guide}.md"
    write_files(page, tmp_path)
    monkeypatch.chdir(tmp_path)
    for command in commands(page):
        if command.startswith("python ") or is_on_ray(command):
            run(command, tmp_path)
        else:
            succeed(shlex.split(command, comments=True)[1:], monkeypatch, capsys)


def first_package(folder: Path) -> Path:
    return next(iter(sorted(folder.glob("exported/*.mlpackage"))))


def write_entry(folder: Path, name: str) -> None:
    """The configuration of the first package, as the manifest has it."""
    (folder / name).write_text(json.dumps(json.loads((folder / "exported" / "manifest.json").read_text())[0]))


@pytest.mark.slow
def test_the_readmes_commands_run_on_a_small_experiment(tmp_path, monkeypatch, capsys):
    """Those of its table that need neither a Mac nor a cluster, in this process."""
    project = Project(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EXPERIMENT.toml").write_text(project.experiment.read_text())
    named = [words for words in of_spans(ROOT / "README.md") if "--measure" not in words]
    assert {words[0] for words in named} == {*OPTIONS, *SERVERS}
    for command, options in OPTIONS.items():
        if command == "apply":
            write_entry(tmp_path, "CONFIGURATION.json")
        lines = [words for words in named if words[0] == command and (options is None or len(words) > 1)]
        assert lines, f"README names no `palettune {command}` with what it takes"
        for words in lines:
            given = words if options is None else [*words[:2], *options]
            succeed([str(first_package(tmp_path)) if w == "MODEL.mlpackage" else w for w in given], monkeypatch, capsys)


@pytest.mark.slow
def test_the_how_tos_commands_run_in_their_order(tmp_path, monkeypatch, capsys):
    """In one process, without Ray, which the guides run on; files that the page takes for granted are made."""
    Project(tmp_path)
    monkeypatch.chdir(tmp_path)
    for line in commands(ROOT / "docs" / "how_to.md"):
        program, *words = shlex.split(line, comments=True)
        assert program == "palettune", line
        if "mine.json" in words:
            write_entry(tmp_path, "mine.json")
        for word in words:
            if word.endswith("model.mlpackage") and not Path(word).exists():
                shutil.copytree(first_package(tmp_path), word)
        alone = ["--inline"] if words[0] == "search" and "--inline" not in words else []
        succeed([*words, *alone], monkeypatch, capsys)
