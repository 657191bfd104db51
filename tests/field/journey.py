"""One case's way through the command line: inspect, search, front, export, verify; in this process."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from palettune.search.command_line.cli import main

__all__ = ["Journey", "Step", "journey"]


@dataclass(frozen=True)
class Step:
    """One command: its name, its exit code and all that it printed."""

    command: str
    code: int
    text: str


@dataclass
class Journey:
    """What the commands gave, up to the first that failed.

    Attributes:
        front: the members, as ``front --json`` gives them.
        manifest: as ``export`` wrote it.
        verified: exit code by package.
    """

    steps: list[Step] = field(default_factory=list)
    front: list[dict[str, Any]] = field(default_factory=list)
    manifest: list[dict[str, Any]] = field(default_factory=list)
    verified: dict[str, int] = field(default_factory=dict)

    @property
    def code(self) -> int:
        """Of the last command."""
        return self.steps[-1].code

    @property
    def text(self) -> str:
        """All that was printed."""
        return "".join(step.text for step in self.steps)

    @property
    def last(self) -> str:
        """The command that it ended with."""
        return self.steps[-1].command

    def run(self, *words: object) -> Step:
        """Run one command."""
        step = _run([str(word) for word in words])
        self.steps.append(step)
        return step


def journey(experiment: Path, root: Path, out: Path) -> Journey:
    """Go through all commands with an experiment; stop where one fails."""
    found = Journey()
    if found.run("inspect", experiment).code:
        return found
    if found.run("search", experiment, "--root", root, "--inline").code:
        return found
    found.front = json.loads(found.run("front", experiment, "--root", root, "--json").text)
    code = found.run("export", experiment, "--root", root, "--out", out, "--pick", "spread:2").code
    found.manifest = json.loads((out / "manifest.json").read_text()) if (out / "manifest.json").exists() else []
    if code:
        return found
    for entry in found.manifest[:1]:  # the smallest; its neighbours were proven by the export, in the same way
        found.verified[entry["path"]] = found.run("verify", out / entry["path"], "--against", experiment).code
    return found


def _run(words: list[str]) -> Step:
    """The command line in this process; a traceback counts as exit code 1 and is part of the text."""
    heard = io.StringIO()
    before = sys.argv
    sys.argv = ["palettune", *words]
    code = 0
    try:
        with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
            main()
    except SystemExit as ending:
        code = int(ending.code or 0)
    except Exception:
        heard.write(traceback.format_exc())
        code = 1
    finally:
        sys.argv = before
    return Step(words[0], code, heard.getvalue())
