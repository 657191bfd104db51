"""Schedule of gradual pruning (Zhu and Gupta 2017, https://arxiv.org/abs/1710.01878)."""

from __future__ import annotations

from dataclasses import replace

from palettune.space.encoding import Sparsity

__all__ = ["RAMP", "sparsity_at"]

RAMP = 0.4
"""Share of the steps over which sparsity rises; the remaining steps train the kept weights."""


def sparsity_at(target: Sparsity, progress: float) -> Sparsity | None:
    """Return the sparsity after the share ``progress`` of the steps, in whole percent; ``None`` before any pruning.

    ``s(t) = s_end * (1 - (1 - t / RAMP)^3)``: equation 1 of the paper, starting without zeros. Patterns n:m are applied at
    once.
    """
    if progress >= RAMP or target.percent is None:
        return target
    percent = int(target.percent * (1 - (1 - max(progress, 0.0) / RAMP) ** 3))
    return replace(target, percent=percent) if percent > 0 else None
