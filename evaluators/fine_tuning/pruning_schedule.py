"""How sparsity rises over a training: gradually, faster at first (Zhu and Gupta 2017, https://arxiv.org/abs/1710.01878)."""

from __future__ import annotations

from dataclasses import replace

from palettune.space.encoding import Sparsity

__all__ = ["RAMP", "sparsity_at"]

RAMP = 0.4
"""Share of the steps over which sparsity rises; the rest trains what is left."""


def sparsity_at(target: Sparsity, progress: float) -> Sparsity | None:
    """The sparsity after a share of the steps, in whole percent; None where nothing is pruned yet.

    ``s(t) = s_end * (1 - (1 - t / RAMP)^3)``: equation 1 of the paper, from no zeros. Patterns n:m have no in-between.
    """
    if progress >= RAMP or target.percent is None:
        return target
    percent = int(target.percent * (1 - (1 - max(progress, 0.0) / RAMP) ** 3))
    return replace(target, percent=percent) if percent > 0 else None
