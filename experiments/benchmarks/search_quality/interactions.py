"""Interaction terms between layers: do they predict recorded divergences better than additive scores do?

Fisher scores are the mean over samples of squared first-order changes. Summed over the layers before squaring, the
changes keep how layers reinforce and cancel one another; with few samples most of that is noise, so it is shrunk
towards the additive prediction: ``(1 - a) * sum of squares + a * square of the sum``.
"""

from __future__ import annotations

import numpy as np
from recording import Recorded
from scipy.stats import spearmanr

__all__ = ["SHARES", "interactions"]

SHARES = (0.0, 0.1, 0.2, 0.35, 0.5, 1.0)


def interactions(real: Recorded) -> dict[str, dict[str, float]]:
    """For each share of the interactions, how predictions agree with the useful part of what is on record.

    ``spread`` is the standard deviation of log(predicted / measured): what a change of level cannot mend.
    """
    signed = real.fisher.signed
    if signed is None:
        return {}
    vectors = [
        np.stack([sum(signed[:, real.fisher.index(name, e)] for name in group) for e in menu])
        for group in real.space.groups
        for menu in (real.space.menus[group[0]].encodings,)
    ]
    useful = 0.1 * real.reference.chance
    items = [(row, m.divergence) for row, m in real.recording.items() if (row > 0).sum() > 3 and m.divergence < useful]
    measured = np.array([divergence for _, divergence in items])
    picked = [np.stack([vectors[group][choice] for group, choice in enumerate(row)]) for row, _ in items]
    apart = np.array([(p**2).sum(0).mean() for p in picked])
    together = np.array([(p.sum(0) ** 2).mean() for p in picked])
    found = {}
    for share in SHARES:
        predicted = (1.0 - share) * apart + share * together
        found[f"share {share:g}"] = {
            "spearman": float(spearmanr(predicted, measured).statistic),
            "spread": float(np.log(predicted / np.maximum(measured, 1e-12)).std()),
            "configurations": len(items),
        }
    return found
