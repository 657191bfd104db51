"""Keys of an experiment under their old names: read, and said with the name that they have now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["with_new_names"]

RENAMED = {("", "ladder"): "escalation", ("search", "solved_seeds"): "solved_trials"}
"""Section and old name of each renamed key, and its new name."""


def with_new_names(values: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """An experiment's values under today's names, and a line for each old name among them.

    Raises:
        ValueError: a key is given under its old and its new name.
    """
    found = {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    notes = []
    for (section, old), new in RENAMED.items():
        place = found.get(section) if section else found
        if not isinstance(place, dict) or old not in place:
            continue
        before, after = (f"{section}.{name}" if section else name for name in (old, new))
        if new in place:
            raise ValueError(f"{before} and {after} are the same key, given under both names: keep {after}")
        place[new] = place.pop(old)
        notes.append(f"{before} is now called {after}; the old name is still read")
    return found, tuple(notes)
