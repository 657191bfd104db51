"""The surrogate: what a configuration is expected to lose, from scores corrected by every measured evaluation.

Scores are additive and rank well, but their level drifts where layers interact or the divergence saturates. A ridge
regression gives every group of layers its own factor, and a Gaussian process over what is left tells how far from
anything measured a configuration is.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from palettune.search.experiment.objectives import Objective

__all__ = ["Surrogate"]

Matrix = NDArray[np.float64]
_TINY = 1e-12
_MOST = 250


class Surrogate:
    """Model that predicts the quality loss (0 ideal, 1 the reference) of configurations.

    Args:
        scores: per group, the predicted divergence of each choice.
        objective: the quality objective.
    """

    def __init__(self, scores: Sequence[NDArray[np.float64]], objective: Objective) -> None:
        width = max(len(row) for row in scores)
        self._table = np.array([np.pad(row, (0, width - len(row))) for row in scores])
        self._groups = np.arange(len(scores))
        self._objective = objective
        self._factors = np.ones(len(scores))
        self._level: tuple[Matrix, Matrix] | None = None
        self._process: GaussianProcessRegressor | None = None

    @property
    def corrected(self) -> Matrix:
        """Scores with their groups' factors, (groups, choices)."""
        return np.asarray(self._table * self._factors[:, None])

    def fit(self, choices: NDArray[np.int64], quality: Matrix, losses: Matrix, relevance: Matrix) -> None:
        """Learn from measured evaluations.

        Args:
            choices: (n, groups) indices.
            quality: (n,) measured quality values.
            losses: (n,) the same as losses.
            relevance: (n,) distance from the front; the nearest are kept when there are too many.
        """
        parts = self._parts(choices)
        if self._objective.name == "divergence":
            self._factors = _ridge(parts, quality)
        self._level = None
        if self._objective.name != "divergence":
            order = np.argsort(np.log(parts.sum(axis=1) + _TINY))
            self._level = (np.log(parts.sum(axis=1) + _TINY)[order], np.maximum.accumulate(losses[order]))
        near = np.argsort(relevance, kind="stable")[:_MOST]
        residual = losses[near] - self._mean(choices[near])
        spread = max(float(residual.std()), 1e-3)
        kernel = ConstantKernel(spread**2, "fixed") * Matern(1.0, "fixed", nu=1.5) + WhiteKernel(
            (0.1 * spread) ** 2, "fixed"
        )
        self._process = GaussianProcessRegressor(kernel, optimizer=None, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._process.fit(self._features(choices[near]), residual)

    def predict(self, choices: NDArray[np.int64]) -> tuple[Matrix, Matrix]:
        """Predict the expected loss and its standard deviation, each (n,)."""
        mean = self._mean(choices)
        if self._process is None:
            return mean, np.full(len(choices), 0.1)
        shift, deviation = self._process.predict(self._features(choices), return_std=True)
        return np.clip(mean + shift, 0.0, None), np.maximum(deviation, 1e-4)

    def _parts(self, choices: NDArray[np.int64]) -> Matrix:
        return np.asarray(self._table[self._groups, choices])

    def _mean(self, choices: NDArray[np.int64]) -> Matrix:
        predicted = (self._parts(choices) * self._factors).sum(axis=1)
        if self._level is not None:
            return np.asarray(np.interp(np.log(predicted + _TINY), *self._level))
        return np.array([self._objective.loss(float(value)) for value in predicted])

    def _features(self, choices: NDArray[np.int64]) -> Matrix:
        """Where a configuration's loss comes from (share by group), and how large it is."""
        parts = self._parts(choices) * self._factors
        total = parts.sum(axis=1, keepdims=True) + _TINY
        return np.concatenate([np.log(total) / 2.0, 3.0 * np.sqrt(parts / total)], axis=1)


def _ridge(parts: Matrix, measured: Matrix, strength: float = 3.0) -> Matrix:
    """Factors near one that make scores meet measured divergences in relative error, none negative."""
    scale = np.exp(np.median(np.log((measured + _TINY) / (parts.sum(axis=1) + _TINY))))
    rows = scale * parts / (measured + _TINY)[:, None]
    weight = 1.0 / np.maximum(1.0, np.abs(np.log(rows.sum(axis=1) + _TINY)))  # saturated points say little of groups
    rows, target = rows * weight[:, None], weight * (1.0 - rows.sum(axis=1))
    groups = parts.shape[1]
    change = np.linalg.solve(rows.T @ rows + strength * np.eye(groups) / groups, rows.T @ target)
    return np.asarray(scale * np.clip(1.0 + change, 0.2, 5.0))
