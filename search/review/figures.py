"""Figures as the page holds them: rounded to what people compare, and nothing where there is no number."""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = ["figure", "figures"]

_DIGITS = 5


def figure(value: float | None, digits: int = _DIGITS) -> float | None:
    """Round a number to significant digits; ``None`` for none and for what is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")


def figures(values: Iterable[float | None], digits: int = _DIGITS) -> list[float | None]:
    """Round several numbers, as ``figure`` does."""
    return [figure(value, digits) for value in values]
