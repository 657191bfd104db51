"""Words for the layers that a method leaves out."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["left_out"]

_SHOWN = 3


def left_out(what: str, reasons: Mapping[str, str]) -> tuple[str, ...]:
    """Return a line for each reason: what is not done, with which layers, and why.

    Args:
        what: is not done, such as ``no adapter beside``.
        reasons: by layer name.
    """
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    return tuple(f"{what} {_listed(found)}: {reason}" for reason, found in names.items())


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
