"""Landscapes whose whole front is known, so that a search can be judged without the best that others found."""

from __future__ import annotations

import itertools

import numpy as np
from landscape import Landscape, Measured, Row, Vector

from palettune.search.experiment.objectives import hypervolume
from palettune.search.proposing.solver import Problem
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind
from palettune.space.menu import Menu
from palettune.space.search_space import SearchSpace

__all__ = ["Additive", "Interacting", "KnownFront"]

_LEVELS = (16.0, 8.0, 6.0, 4.0, 3.0, 2.0)
_MEGABYTE = 1e6


class KnownFront(Landscape):
    """Random layers with the sizes and sensitivities of real ones, each in six bit widths.

    Args:
        groups: how many layers.
        seed: of their sizes and sensitivities.
        error: standard deviation of the scores' error, in natural logarithms.
    """

    def __init__(self, name: str, groups: int, seed: int, error: float) -> None:
        self.name = name
        random = np.random.default_rng(seed)
        self.elements = tuple(int(n) for n in np.exp(random.normal(10.5, 1.2, groups)))
        # an integer number of 512-byte blocks, so that the front can be counted out exactly
        self.blocks = [np.array([round(n * bits / 8 / 512) for bits in _LEVELS]) for n in self.elements]
        noise = np.exp(random.normal(-3.0, 1.5, groups))
        steps = 4.0 ** -(np.array(_LEVELS) - 2.0)
        jitter = np.exp(random.normal(0, 0.3, (groups, len(_LEVELS))))
        self.damage = np.minimum.accumulate((noise[:, None] * steps * jitter)[:, ::-1], axis=1)[:, ::-1]
        self.damage[:, 0] = 0.0
        self.encodings = tuple(Encoding.parse(f"lut{int(bits)}" if bits < 16 else "fp16") for bits in _LEVELS)
        layers = tuple(Layer(f"l{i:03}", LayerKind.LINEAR, (1, n)) for i, n in enumerate(self.elements))
        menus = {layer.name: Menu(layer, self.encodings, {}) for layer in layers}
        self.space = SearchSpace(layers, menus, tuple((layer.name,) for layer in layers))
        self.costs = Problem(
            tuple(np.zeros(len(_LEVELS)) for _ in range(groups)),
            {"size_mb": tuple(b * 512 / _MEGABYTE for b in self.blocks)},
            {"size_mb": 0.0},
        )
        self.chance, self.float_costs = 7.0, {"size_mb": sum(b[0] for b in self.blocks) * 512 / _MEGABYTE}
        wrong = np.exp(random.normal(0, error, (groups, len(_LEVELS))))
        self.scores = {"fisher": tuple(self.damage * wrong), "isolated": self._isolated()}
        self.scoring = {"fisher": 12.0, "isolated": float(groups * (len(_LEVELS) - 1))}
        self.seconds = 1.0

    def _isolated(self) -> tuple[Vector, ...]:
        return tuple(
            np.array([self.measure(self.alone(group, choice)).divergence for choice in range(len(_LEVELS))])
            for group in range(len(self.menus))
        )

    def best_volume(self) -> float:
        """Hypervolume of the true front."""
        raise NotImplementedError


class Additive(KnownFront):
    """Damages add up; the front is counted out by dynamic programming over exact sizes."""

    def measure(self, row: Row) -> Measured:
        """The sum of the layers' damages."""
        total = float(self.damage[np.arange(len(row)), row].sum())
        return Measured(total, -10.0 * float(np.log10(max(total, 1e-12))))

    def best_volume(self) -> float:
        """Hypervolume of the true front."""
        most = int(sum(b[0] for b in self.blocks))
        best = np.full(most + 1, np.inf)
        best[0] = 0.0
        for damage, blocks in zip(self.damage, self.blocks, strict=True):
            following = np.full(most + 1, np.inf)
            for loss, size in zip(damage, blocks, strict=True):
                moved = best[: most + 1 - size] + loss
                following[size:] = np.minimum(following[size:], moved)
            best = following
        reached = np.flatnonzero(np.isfinite(best))
        objectives = self.objectives
        rows = [objectives.losses([best[size], size * 512 / _MEGABYTE]) for size in reached]
        return hypervolume(np.array(rows))


class Interacting(KnownFront):
    """Damages are vectors: their sum's squared length counts, and saturates; the front is found by trying all."""

    def __init__(self, name: str, groups: int, seed: int, error: float) -> None:
        random = np.random.default_rng(seed + 1)
        directions = random.normal(0, 1, (groups, len(_LEVELS), 6))
        self._directions = directions / np.linalg.norm(directions, axis=2, keepdims=True)
        super().__init__(name, groups, seed, error)

    def measure(self, row: Row) -> Measured:
        """The squared length of the summed vectors, levelling off at the divergence of a constant output."""
        picked = np.arange(len(row)), row
        vector = (np.sqrt(self.damage[picked])[:, None] * self._directions[picked]).sum(0)
        length = float(vector @ vector)
        return Measured(7.0 * float(-np.expm1(-length / 7.0)), -10.0 * float(np.log10(max(length, 1e-12))))

    def best_volume(self) -> float:
        """Hypervolume of the true front."""
        rows = []
        for choices in itertools.product(range(len(_LEVELS)), repeat=len(self.menus)):
            row = np.array(choices)
            rows.append(self.losses(row, self.measure(row).divergence))
        return hypervolume(np.array(rows))
