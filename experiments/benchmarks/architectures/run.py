"""The benchmark of forty architectures: a result for each in ``results/``, and their table in the documentation.

    python -m experiments.benchmarks.architectures.run [--only NAME] [--seconds 600] [--parts PART ...] [--page]

Results that are there are kept, unless they say of the conversion alone; remove one to measure it again. With
``--parts``, only these are measured, and measured again where they are there: ``--parts forward scores`` are times, which
want an idle machine. Each architecture has a process of its own. Needs the extra ``architectures``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.benchmarks.architectures.architecture import Architecture
from experiments.benchmarks.architectures.forty import FORTY
from experiments.benchmarks.architectures.measure import PARTS
from experiments.benchmarks.architectures.table import page

ROOT = Path(__file__).parents[3]
RESULTS = Path(__file__).with_name("results")
MEASURE = "experiments.benchmarks.architectures.measure"
PAGE = ROOT / "docs" / "architectures.md"


def result(architecture: Architecture, seconds: float, parts: Sequence[str] = ()) -> dict[str, Any]:
    """What a process of its own has found, or that it found nothing."""
    out = RESULTS / f"{architecture.name}.json"
    if not is_complete(out) or (parts and "failed" not in json.loads(out.read_text())["conversion"]):
        before = out.read_text() if out.exists() else None
        asked = ["--parts", *parts] if parts else []
        command = [sys.executable, "-m", MEASURE, architecture.name, str(out), *asked]
        try:
            done = subprocess.run(command, cwd=ROOT, timeout=seconds, capture_output=True, text=True)
            ended = f"ended with exit code {done.returncode}: {done.stderr.strip()[-500:]}"
        except subprocess.TimeoutExpired:
            ended = f"took longer than {seconds:g} s"
        if not out.exists() or (out.read_text() == before and not parts):
            found = {"name": architecture.name, "families": architecture.families, "package": architecture.package}
            out.write_text(json.dumps(found | {"conversion": {"failed": ended, "bug": True}}, indent=2) + "\n")
    found = json.loads(out.read_text())
    print(architecture.name, json.dumps(found.get("conversion", {}))[:300], flush=True)
    return found


def is_complete(out: Path) -> bool:
    """Whether there is a result, and not of the conversion alone."""
    found = json.loads(out.read_text()) if out.exists() else {}
    return "export" in found or "failed" in found.get("conversion", {})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=[one.name for one in FORTY])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=())
    parser.add_argument("--page", action="store_true", help="write the page of the results that are there")
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    for architecture in () if options.page else FORTY:
        if options.only is None or architecture.name in options.only:
            result(architecture, options.seconds, options.parts)
    kept = [RESULTS / f"{one.name}.json" for one in FORTY]
    PAGE.write_text(page([json.loads(path.read_text()) for path in kept if path.exists()]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
