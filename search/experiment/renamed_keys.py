"""Keys of an experiment under their old names: read, and said with the name that they have now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["with_new_names"]

RENAMED = {
    "ladder": "escalation",
    "search.solved_seeds": "search.solved_trials",
    **{
        f"escalation.{key}": f"escalation.fine_tuning.{key}"
        for key in ("vector_steps", "steps", "adapter_rank", "adapter_placement")
    },
}
"""The old name of each renamed key, and its new one; later ones are looked for under the new names of earlier ones."""


def with_new_names(values: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Rename the old keys of an experiment; return its values, and a note for each old name among them.

    Raises:
        ValueError: a key is given under its old and its new name.
    """
    found = _copied(values)
    notes = []
    for old, new in RENAMED.items():
        *sections, key = old.split(".")
        place = _section(found, sections)
        if place is None or key not in place:
            continue
        *sections, name = new.split(".")
        value, target = place.pop(key), _section(found, sections, make=True)
        if target is None or name in target:
            raise ValueError(f"{old} and {new} are the same key, given under both names: keep {new}")
        target[name] = value
        notes.append(f"{old} is now called {new}; the old name is still read")
    return found, tuple(notes)


def _copied(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in values.items()}


def _section(values: dict[str, Any], path: Sequence[str], make: bool = False) -> dict[str, Any] | None:
    """The section at a path, where there is one; ``make`` creates it, also from a rung's count that stands alone."""
    place = values
    for part in path:
        inner = place.get(part)
        if make and isinstance(inner, int):
            inner = place[part] = {"count": inner}
        elif make and inner is None:
            inner = place[part] = {}
        if not isinstance(inner, dict):
            return None
        place = inner
    return place
