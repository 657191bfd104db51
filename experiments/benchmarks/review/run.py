"""Weight of the review page, and seconds to make it, for searches of several sizes.

    python -m experiments.benchmarks.review.run
    python -m experiments.benchmarks.review.run --run experiments/efficientnet_lite0/experiment.toml --root runs

Searches of 1,000 trials are made up; with ``--run`` the page of a real one is made, too, by the command line, from the
start of the process to its end. Writes ``result.json`` beside this file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from experiments.benchmarks.review.made_up_search import made_up_source
from palettune.search.review.review_page import write_review

LAYERS, TRIALS, TIMES = (50, 200, 1000), 1000, 3
RESULT = Path(__file__).with_name("result.json")


def made_up(layers: int, folder: Path) -> dict[str, Any]:
    """Bytes of the page of a made-up search, and seconds to write it."""
    source = made_up_source(layers, TRIALS, folder)
    began = time.perf_counter()
    write_review(source, source.folder.review)
    seconds = time.perf_counter() - began
    size = source.folder.review.stat().st_size
    return {"layers": layers, "trials": TRIALS, "page_kb": round(size / 1e3, 1), "seconds": round(seconds, 2)}


def real(experiment: Path, root: Path, folder: Path) -> dict[str, Any]:
    """The same of a real search, by the command line; the least seconds of a few runs."""
    page = folder / "review.html"
    code = "from palettune.search.command_line.cli import main; main()"
    words = ["review", str(experiment), "--root", str(root), "--no-open", "--out", str(page)]
    seconds = []
    for _ in range(TIMES):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, *words], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
    return {
        "name": experiment.parent.name,
        "page_kb": round(page.stat().st_size / 1e3, 1),
        "seconds": round(min(seconds), 2),
    }


def main() -> None:
    """Print and write what was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, help="an experiment file, whose search has been run")
    parser.add_argument("--root", type=Path, default=Path("runs"), help="of its run folder")
    arguments = parser.parse_args()
    held = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        held["made_up"] = [made_up(layers, folder) for layers in LAYERS]
        if arguments.run is not None:
            held["command"] = real(arguments.run, arguments.root, folder)
    RESULT.write_text(json.dumps(held, indent=2) + "\n")
    print(json.dumps(held, indent=2))


if __name__ == "__main__":
    main()
