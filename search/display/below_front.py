"""Lines below the table of a front: how far to trust it, and how recipes compare with it."""

from __future__ import annotations

from collections.abc import Mapping

from palettune.search.results.formatting import digits
from palettune.search.results.front import Front
from palettune.search.results.front_members.front_sentence import front_sentence
from palettune.search.study.record import Record

__all__ = ["below_front"]


def below_front(front: Front, recipes: Mapping[str, Record]) -> list[str]:
    """Return a sentence on checks and neighbours, then a line for each recipe."""
    if not front.members:
        return []
    return [front_sentence(front), *(_recipe(front, name, record) for name, record in recipes.items())]


def _recipe(front: Front, name: str, record: Record) -> str:
    """A recipe beside the member that is no larger, and beside the one that is no worse."""
    if record.evaluation is None:
        return f"recipe {name}: trial {record.trial} gave no result: {record.failure or record.screened}"
    size, divergence = record.costs["size_mb"], record.evaluation.divergence
    said = f"recipe {name}: trial {record.trial}, {size:.3f} MB, divergence {digits(divergence)}"
    if any(member.trial == record.trial for member in front.members):
        return f"{said}; it is on the front"
    members = [(r, r.evaluation.divergence) for r in front.members if r.evaluation is not None]
    smaller = [(lost, r) for r, lost in members if r.costs["size_mb"] <= size]
    better = [(r.costs["size_mb"], r) for r, lost in members if lost <= divergence]
    parts = []
    if smaller:
        lost, member = min(smaller, key=lambda pair: pair[0])
        parts.append(f"no larger, trial {member.trial} has {digits(lost)}")
    if better:
        least, member = min(better, key=lambda pair: pair[0])
        parts.append(f"no worse, trial {member.trial} has {least:.3f} MB")
    return f"{said}; {'; '.join(parts) or 'the front reaches neither'}"
