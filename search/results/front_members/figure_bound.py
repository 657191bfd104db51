"""The smallest member with a figure below or above a bound, as ``divergence<0.01`` or ``top1>0.7`` asks for it."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence

from palettune.search.results.front import PickError
from palettune.search.study.record import Record
from palettune.space.errors import suggestion

__all__ = ["is_figure_bound", "smallest_within_figure"]

_BOUND = re.compile(r"(?P<name>[^<>=]+)(?P<sign><=|>=|<|>)\s*(?P<bound>[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)")
_MEETS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def is_figure_bound(word: str) -> bool:
    """Return whether a word bounds a figure."""
    return _BOUND.fullmatch(word.strip()) is not None


def smallest_within_figure(members: Sequence[Record], word: str) -> Record:
    """Return the smallest member whose figure meets a bound.

    Args:
        word: a divergence or a metric, ``<``, ``<=``, ``>`` or ``>=``, and a number.

    Raises:
        PickError: there is no such figure, or no member meets the bound; the nearest is said.
    """
    asked = _BOUND.fullmatch(word.strip())
    assert asked is not None, word
    name, sign, bound = asked["name"].strip(), asked["sign"], float(asked["bound"])
    known = sorted({"divergence", *(key for r in members if r.evaluation for key in r.evaluation.metrics)})
    if name not in known:
        raise PickError(
            f"--pick {word}: there is no figure {name!r}{suggestion(name, known)}; there are {', '.join(known)}"
        )
    figures = [(record, value) for record in members if (value := _figure(record, name)) is not None]
    for record, value in figures:
        if _MEETS[sign](value, bound):
            return record
    below = sign.startswith("<")
    nearest = (min if below else max)(value for _, value in figures)
    raise PickError(f"--pick {word}: no member has that; the {'least' if below else 'greatest'} is {nearest:.4g}")


def _figure(record: Record, name: str) -> float | None:
    if record.evaluation is None:
        return None
    return record.evaluation.divergence if name == "divergence" else record.evaluation.metrics.get(name)
