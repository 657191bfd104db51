"""Writes README.md beside this file: what became of every case before, and what becomes of it now.

python -m tests.field.table
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby
from pathlib import Path

from tests.field.cases import CASES, first_line, write_case
from tests.field.journey import Journey, journey

HERE = Path(__file__).parent
HEAD = """# Models from the field

Small models and packages, made after public reports of trouble, each from `inspect` to `verify` by
the command line. "Before" is the state of November 2026 (commit 0997236), measured by the same
command; "now" is written by `python -m tests.field.table`. Right means: both exported packages
proven in both precisions, exact to the byte, and `verify` agrees with their record.
"""


def now(name: str) -> str:
    """One case's outcome in a few words."""
    with tempfile.TemporaryDirectory() as folder:
        found = journey(write_case(name, Path(folder) / "case"), Path(folder) / "runs", Path(folder) / "out")
    return outcome(found)


def outcome(found: Journey) -> str:
    """A journey in a few words."""
    if found.code == 2:
        words = " ".join(re.findall(r"error: (.*)", found.steps[-1].text, re.DOTALL)[-1].split())
        words = re.sub(r"/\S*/", "", words)
        return f"refused by `{found.last}`: {words[:200]}{'...' if len(words) > 200 else ''}"
    if (found.last, found.code) != ("verify", 0):
        return f"FAILS at `{found.last}`"
    sizes = " and ".join(f"{entry['weight_bytes']:,}" for entry in found.manifest)
    return f"right: {sizes} B"


def main() -> None:
    """Run every case, and write the table."""
    before = json.loads((HERE / "before.json").read_text())
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        after = dict(zip(CASES, pool.map(now, CASES), strict=True))
    lines = [HEAD]
    for kind, names in groupby(CASES, key=lambda name: CASES[name].kind):
        lines += [
            "",
            f"## {kind[0].upper()}{kind[1:]}",
            "",
            "| case | what it shows | before | now |",
            "|---|---|---|---|",
        ]
        for name in names:
            cells = (f"`{name}`", first_line(name), before.get(name, "-"), after[name])
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    (HERE / "README.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
