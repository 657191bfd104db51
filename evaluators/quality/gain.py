"""Gain of a method: comparison of results with and without it, on paired samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["Gain", "failed", "paired"]

FEWEST = 4


@dataclass(frozen=True)
class Gain:
    """Comparison of the results without and with one method, on the same held-out samples.

    Attributes:
        method: name of the method.
        layer: name of the layer it was tried on; ``None`` for the whole model.
        before: mean divergence without the method (for a layer, mean squared output error).
        after: the same with the method.
        error: standard error of the mean difference.
        samples: number of pairs compared.
        kept: whether the method's result is used.
        reason: why there was no comparison; empty if there was one.
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
        """Return the gain as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Gain:
        """Read the values of ``to_json``; what is read twice is equal, figures that are not there included."""
        one: dict[str, Any] = {name: math.nan if value != value else value for name, value in values.items()}
        return cls(**one)


def paired(
    method: str, before: Sequence[float], after: Sequence[float], layer: str | None = None, certainty: float = 1.0
) -> Gain:
    """Compare two results sample by sample; keep the second if it is better by ``certainty`` standard errors.

    With one standard error, a method without effect is kept one time in six, which does no harm; a result that is clearly
    worse is not kept. With fewer than four samples, or values that are not finite, nothing is kept.

    Raises:
        ValueError: the numbers of samples differ.
    """
    old, new = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if old.shape != new.shape:
        raise ValueError(
            f"{method}: {old.size} samples before and {new.size} after; expected pairs of the same samples"
        )
    means = float(old.mean()) if old.size else math.nan, float(new.mean()) if new.size else math.nan
    if old.size < FEWEST or not np.isfinite(old).all():
        return Gain(
            method, layer, *means, math.nan, old.size, False, f"{old.size} usable samples; at least {FEWEST} are needed"
        )
    if not np.isfinite(new).all():
        return Gain(method, layer, *means, math.nan, old.size, False, "the result is not finite")
    difference = old - new
    error = float(difference.std(ddof=1) / np.sqrt(old.size))
    return Gain(method, layer, *means, error, old.size, bool(difference.mean() > certainty * error))


def failed(method: str, reason: str, layer: str | None = None) -> Gain:
    """Return the gain of a method that failed: no comparison, not kept."""
    return Gain(method, layer, math.nan, math.nan, math.nan, 0, False, reason)
