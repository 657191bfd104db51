"""Expected hypervolume improvement where costs are known exactly and only the quality is uncertain.

With costs exact, the gain over a front is an integral of a one-dimensional expected improvement over the cells of the
cost grid that a candidate dominates; it has a closed form (compare Emmerich et al. 2006 for the general case).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

__all__ = ["expected_gain"]

Matrix = NDArray[np.float64]


def expected_gain(front: Matrix, costs: Matrix, mean: Matrix, deviation: Matrix) -> Matrix:
    """Return the expected gain in hypervolume (reference point all ones) of each candidate.

    Args:
        front: (m, 1 + d) losses, quality first; rows outside the unit box are ignored.
        costs: (n, d) cost losses of the candidates, exact; d is one or two.
        mean: (n,) expected quality loss.
        deviation: (n,) its standard deviation.
    """
    inside = front[(front < 1.0).all(axis=1)] if len(front) else front
    edges = [np.unique(np.concatenate([[0.0], inside[:, 1 + k], [1.0]])) for k in range(costs.shape[1])]
    ceiling = _ceiling(inside, edges)
    shares = [
        np.clip(edge[1:][None] - np.maximum(edge[:-1][None], costs[:, k : k + 1]), 0.0, None)
        for k, edge in enumerate(edges)
    ]
    levels, inverse = np.unique(ceiling, return_inverse=True)
    # a loss cannot fall below its ideal, 0: what a normal distribution promises there is taken off
    improvement = _improvement(levels, mean, deviation) - _improvement(np.zeros(1), mean, deviation)
    by_cell = improvement[:, inverse.reshape(ceiling.shape)]
    if len(edges) == 1:
        return np.asarray((by_cell * shares[0]).sum(axis=1))
    return np.asarray(np.einsum("nij,ni,nj->n", by_cell, shares[0], shares[1]))


def _improvement(levels: Matrix, mean: Matrix, deviation: Matrix) -> Matrix:
    """Expected amount by which a normal variable falls below each level, (candidates, levels)."""
    z = (levels[None] - mean[:, None]) / deviation[:, None]
    return np.asarray((levels[None] - mean[:, None]) * norm.cdf(z) + deviation[:, None] * norm.pdf(z))


def _ceiling(front: Matrix, edges: list[Matrix]) -> Matrix:
    """For each cell of the cost grid, the least quality loss of the members that cost no more than its lower corner."""
    lower = np.meshgrid(*(edge[:-1] for edge in edges), indexing="ij")
    ceiling = np.ones(lower[0].shape)
    for member in front:
        reached = np.all([member[1 + k] <= corner for k, corner in enumerate(lower)], axis=0)
        ceiling[reached] = np.minimum(ceiling[reached], member[0])
    return ceiling
