"""Weight of the review page, seconds to make it for searches of several sizes, and seconds of the reading commands.

    python -m experiments.benchmarks.review.run
    python -m experiments.benchmarks.review.run --run experiments/efficientnet_lite0/experiment.toml --root runs

Searches of 1,000 trials are made up; with ``--run`` the commands that read a finished search are timed on a real one, as
processes, and the memory of ``palettune ui`` is taken. Writes ``result.json`` beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from experiments.benchmarks.review.commands import command_table, measured_commands
from experiments.benchmarks.review.made_up_search import made_up_source
from palettune.search.review.review_page import write_review

LAYERS, TRIALS = (50, 200, 1000), 1000
RESULT = Path(__file__).with_name("result.json")


def made_up(layers: int, folder: Path) -> dict[str, Any]:
    """Bytes of the page of a made-up search, and seconds to write it."""
    source = made_up_source(layers, TRIALS, folder)
    began = time.perf_counter()
    write_review(source, source.folder.review)
    seconds = time.perf_counter() - began
    size = source.folder.review.stat().st_size
    return {"layers": layers, "trials": TRIALS, "page_kb": round(size / 1e3, 1), "seconds": round(seconds, 2)}


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
            measured = measured_commands(arguments.run, arguments.root, folder / "review.html")
            held["commands"] = {"name": arguments.run.parent.name, "cores": os.cpu_count(), **measured}
            print(command_table(measured))
    RESULT.write_text(json.dumps(held, indent=2) + "\n")
    print(json.dumps(held, indent=2))


if __name__ == "__main__":
    main()
