"""Seconds of the commands that read a finished search, each a process of its own, and the memory of `palettune ui`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["command_table", "measured_commands"]

TIMES = 3
PORT = 5750
_CODE = "from palettune.search.command_line.cli import main; main()"
_ANSWERS = "Ctrl-C ends it"


def measured_commands(experiment: Path, root: Path, page: Path) -> dict[str, Any]:
    """The least seconds of a few runs of each command, from the start of the process to its end.

    Args:
        page: where the review is written to.
    """
    files = [str(experiment), "--root", str(root)]
    members = json.loads(_output(["front", *files, "--json"]))
    budget = next(member["size_mb"] for member in members if member["knee"])
    commands = {
        "review": ["review", *files, "--no-open", "--out", str(page)],
        "front": ["front", *files],
        "list": ["list", "--root", str(root)],
        "explain": ["explain", str(experiment), "knee", "--root", str(root)],
        "solve": ["solve", *files, "--max-size-mb", f"{budget:.3f}"],
    }
    found: dict[str, Any] = {
        name: round(min(_timed(words) for _ in range(TIMES)), 2) for name, words in commands.items()
    }
    served = [_served(["ui", *files, "--port", str(PORT)]) for _ in range(TIMES)]
    found["ui"] = round(min(seconds for seconds, _ in served), 2)
    return found | {"ui_mb": round(min(megabytes for _, megabytes in served), 1), "page_kb": page.stat().st_size / 1e3}


def command_table(found: Mapping[str, Any]) -> str:
    """What was measured, as a table in Markdown."""
    rows = [f"| `palettune {name}` | {found[name]:.2f} s |" for name in ("review", "front", "list", "explain", "solve")]
    ui = f"| `palettune ui`, until it answers | {found['ui']:.2f} s, {found['ui_mb']:.0f} MB |"
    return "\n".join(["| command | from its start to its end |", "|---|---|", *rows, ui])


def _timed(words: Sequence[str]) -> float:
    began = time.perf_counter()
    _output(words)
    return time.perf_counter() - began


def _output(words: Sequence[str]) -> str:
    return subprocess.run([sys.executable, "-c", _CODE, *words], check=True, capture_output=True, text=True).stdout


def _served(words: Sequence[str]) -> tuple[float, float]:
    """Seconds until MLflow answers, and megabytes of all its processes then."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", _CODE, *words], stdout=subprocess.PIPE, text=True)
    try:
        seconds, said = 0.0, []
        for line in process.stdout or ():
            said.append(line)
            if line.startswith(_ANSWERS):
                seconds = time.perf_counter() - began
                break
        (base, *_) = (word.split("/#/")[0] for line in said for word in line.split() if word.startswith("http"))
        with urllib.request.urlopen(f"{base}/health", timeout=10) as answer:
            assert answer.status == 200, base
        return seconds, sum(_megabytes(number) for number in _tree(process.pid))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _tree(process: int) -> list[int]:
    """A process and everything that it has started."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], check=True, capture_output=True, text=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = [process]
    for one in found:
        found += [child for child, parent in pairs if parent == one]
    return found


def _megabytes(process: int) -> float:
    """Memory of one process, what it shares counted by its share: PSS, or RSS where the system does not tell."""
    rollup = Path(f"/proc/{process}/smaps_rollup")
    if rollup.exists():
        (line,) = (line for line in rollup.read_text().splitlines() if line.startswith("Pss:"))
        return int(line.split()[1]) * 1024 / 1e6
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(process)], check=True, capture_output=True, text=True).stdout
    return int(told) * 1024 / 1e6
