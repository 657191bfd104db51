"""Errors that a user can correct, apart from bugs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["UserError", "suggestion"]


class UserError(ValueError):
    """An error in user input; its message names the file, key or layer, what was expected and what to do.

    The command line prints it without a traceback and exits with 2; anything else that escapes is a bug (exit 1).
    """


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known word, or an empty string where none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
