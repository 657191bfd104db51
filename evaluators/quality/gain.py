"""A gain: what one method brought, told from paired samples, and whether it was kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["Gain", "failed", "paired"]

FEWEST = 4


@dataclass(frozen=True)
class Gain:
    """One method beside what there was before it, on the same held-out samples.

    Attributes:
        method: its name.
        layer: the layer it was tried on; ``None`` for the whole model.
        before: mean divergence (or error of the layer's output, for a layer) without it.
        after: with it.
        error: standard error of the mean difference.
        samples: pairs compared.
        kept: whether the method's result was taken.
        reason: why it was tried on nothing, or failed; empty otherwise.
    """

    method: str
    layer: str | None
    before: float
    after: float
    error: float
    samples: int
    kept: bool
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a record."""
        return asdict(self)


def paired(
    method: str, before: Sequence[float], after: Sequence[float], layer: str | None = None, certainty: float = 1.0
) -> Gain:
    """Compare two results sample by sample; the later one is kept where it is better by ``certainty`` standard errors.

    One standard error keeps a method that changes nothing one time in six, at no cost; a result that is surely
    worse is never kept. Where values are not finite, or samples fewer than four, nothing is kept.
    """
    old, new = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if old.shape != new.shape:
        raise ValueError(f"{method}: {old.size} samples before and {new.size} after; a comparison is by pairs")
    means = float(old.mean()) if old.size else math.nan, float(new.mean()) if new.size else math.nan
    if old.size < FEWEST or not np.isfinite(old).all():
        return Gain(method, layer, *means, math.nan, old.size, False, f"{old.size} usable samples, {FEWEST} are needed")
    if not np.isfinite(new).all():
        return Gain(method, layer, *means, math.nan, old.size, False, "its result is not finite")
    difference = old - new
    error = float(difference.std(ddof=1) / np.sqrt(old.size))
    return Gain(method, layer, *means, error, old.size, bool(difference.mean() > certainty * error))


def failed(method: str, reason: str, layer: str | None = None) -> Gain:
    """A method that gave no result: nothing was compared, nothing is kept."""
    return Gain(method, layer, math.nan, math.nan, math.nan, 0, False, reason)
