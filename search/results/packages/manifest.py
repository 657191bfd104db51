"""``manifest.json``: what every package of a folder holds, and its proof."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from palettune.search.results.packages.export import Exported

__all__ = ["write_manifest"]

_ENDINGS = (".unproven.mlpackage", ".mlpackage")


def write_manifest(exported: Sequence[Exported], out: Path) -> Path:
    """Write the entries of some packages into the manifest of their folder; those of other packages stay.

    A package written again, proven or not, takes the place of its former entry. A manifest that cannot be read is set
    aside, beside the new one.
    """
    path = out / "manifest.json"
    new = [item.to_json(out) for item in exported]
    names = {_name(entry["path"]) for entry in new}
    kept = [entry for entry in _entries(path) if _name(entry["path"]) not in names]
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps([*kept, *new], indent=2) + "\n")
    partial.replace(path)
    return path


def _entries(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_text())
    except ValueError:
        found = None
    if isinstance(found, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("path"), str) for entry in found
    ):
        return found
    free = (path.with_name(f"manifest.damaged-{number}.json") for number in count(1))
    path.rename(next(aside for aside in free if not aside.exists()))
    return []


def _name(path: str) -> str:
    """A package's path without what says whether it is proven."""
    ending = next((ending for ending in _ENDINGS if path.endswith(ending)), "")
    return path.removesuffix(ending)
