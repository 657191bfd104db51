"""Words for the layers that a method leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["left_out", "listed"]


def left_out(what: str, reasons: Mapping[str, str]) -> tuple[str, ...]:
    """Return a line for each reason: what is not done, with which layers, and why.

    Args:
        what: is not done, such as ``no adapter beside``.
        reasons: by layer name.
    """
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    return tuple(f"{what} {listed(found, 3)}: {reason}" for reason, found in names.items())


def listed(names: Sequence[str], most: int) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
