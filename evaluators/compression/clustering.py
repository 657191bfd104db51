"""K-means in bounded memory: exact for scalars, started from a sample for vectors.

coremltools needs 550 bytes per weighted scalar, and clusters vectors from five starts of up to 300 passes each. Here the
scalars that lie closest together are merged first, so that the same exact algorithm (``kmeans1d``: Wu, "Optimal
quantization by matrix searching", 1991) runs on at most 100,000 of them. Vectors are clustered by scikit-learn on a
sample, from k-means++ starts; the best few results are then improved on all vectors.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits
from torch import Tensor

from palettune.evaluators.library_internals import KMeansConfig, ReplaceableKMeans, cluster_scalars_exactly

__all__ = ["BoundedKMeans", "cluster_values", "cluster_vectors", "sample_size"]

Array = NDArray[np.float32]
_SHARES = 2**15
_AT_ONCE = 2**22
_STARTS = 12
_KEPT_STARTS = (5, 2)
_FEW_DISTANCES = 2**24
_SAMPLE = 2**14
_SAMPLE_OF_EACH = 128
_START_PASSES = 100
_PASSES = (30, 300)
_WORK = 2_500_000_000
"""Distances taken in all passes over all points from one start."""


class BoundedKMeans(ReplaceableKMeans):
    """coremltools' clustering of a module's weights, with the algorithms of this file."""

    @classmethod
    def cluster_scalars(cls, weight: Tensor, importance: Tensor, config: KMeansConfig) -> tuple[Tensor, Tensor]:
        """Cluster one block's scalars by ``cluster_values``."""
        values, counts = weight.flatten().numpy(), importance.flatten().numpy()
        centres, labels = cluster_values(values, counts, 2**config.n_bits)
        return torch.from_numpy(centres), torch.from_numpy(labels)

    @classmethod
    def cluster_rows(cls, weight: Tensor, importance: Tensor | None, config: KMeansConfig) -> tuple[Tensor, Tensor]:
        """Cluster one block's vectors by ``cluster_vectors``."""

        def vectors(values: Tensor) -> Array:
            along = values.transpose(0, 1) if config.axis == 0 else values
            return np.ascontiguousarray(along.reshape(-1, config.cluster_dim).numpy())

        counts = None if importance is None else vectors(importance).sum(axis=1)
        seed = int(torch.randint(2**31 - 1, (1,)))
        centres, labels = cluster_vectors(vectors(weight), counts, 2**config.n_bits, seed)
        return torch.from_numpy(centres), torch.from_numpy(labels)


def cluster_values(values: Array, importance: Array, count: int) -> tuple[Array, NDArray[np.int32]]:
    """Cluster scalars with the least weighted squared error, after merging those that lie closest together.

    Args:
        values: (N,), float32.
        importance: (N,), weight of each value; positive.
        count: largest number of clusters.

    Returns:
        Centres in ascending order, ``count`` or as many as there are different values, and the label of each value.
    """
    edges = _edges(values)
    mass, total = np.zeros(len(edges) + 1), np.zeros(len(edges) + 1)
    codes = np.empty(len(values), np.int32)
    for start in range(0, len(values), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        codes[part] = np.searchsorted(edges, values[part])
        counts = importance[part].astype(np.float64)
        mass += np.bincount(codes[part], counts, len(mass))
        total += np.bincount(codes[part], counts * values[part], len(mass))
    used = np.flatnonzero(mass)
    points = total[used] / mass[used]
    found = cluster_scalars_exactly(points, min(count, len(points)), mass[used])
    label_of = np.zeros(len(mass), np.int32)
    label_of[used] = found.clusters
    return np.array(found.centroids, np.float32), label_of[codes]


def _edges(values: Array) -> Array:
    """Return the edges between which values are merged.

    Few values are their own edges. Of many, the edges hold equal shares, and values that differ in fp16, so that the tails
    are not merged."""
    ordered = np.sort(values)
    if len(ordered) <= _SHARES:
        return np.unique(ordered)
    # to the upper end of fp16, so that small weights are told apart as well as large ones
    shift = np.float32(2.0 ** (14 - np.frexp(max(float(np.abs(ordered[[0, -1]]).max()), 1e-30))[1]))
    shares = ordered[:: len(ordered) // _SHARES]
    apart = ordered[np.flatnonzero(np.diff((ordered * shift).astype(np.float16)))]  # the last of those alike
    return np.unique(np.concatenate([shares, apart]))


def cluster_vectors(points: Array, importance: Array | None, count: int, seed: int) -> tuple[Array, NDArray[np.int32]]:
    """Cluster vectors with a small weighted squared error (a local optimum).

    Args:
        points: (N, D), float32.
        importance: (N,), weight of each vector; positive. Equal weights if ``None``.
        count: number of clusters.
        seed: of the sample and of the starts.

    Returns:
        Centres (count, D) and the label of each point.
    """
    random = np.random.default_rng(seed)
    with threadpool_limits(1), warnings.catch_warnings():  # one thread: sums do not depend on how many there are
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different points than clusters
        passes = int(np.clip(_WORK // (len(points) * count), *_PASSES))
        starts = [*_from_a_sample(points, importance, count, random), _far_apart(points, count, random)]
        runs = [KMeans(count, init=start, n_init=1, max_iter=passes, tol=1e-7) for start in starts]
        best = min((run.fit(points, sample_weight=importance) for run in runs), key=lambda run: float(run.inertia_))
    return _centres(points, importance, best.labels_, best.cluster_centers_), best.labels_


def sample_size(count: int) -> int:
    """Return the largest number of points in which starts for ``count`` clusters are searched."""
    return max(_SAMPLE, _SAMPLE_OF_EACH * count)


def _from_a_sample(points: Array, importance: Array | None, count: int, random: np.random.Generator) -> list[Array]:
    """The best few centres of some of the points, from starts by k-means++ (Arthur and Vassilvitskii, 2007)."""
    size = sample_size(count)
    some = slice(None) if len(points) <= size else np.sort(random.choice(len(points), size, replace=False))
    counts = None if importance is None else importance[some]
    seeds = random.integers(2**31, size=_STARTS)
    runs = [KMeans(count, n_init=1, max_iter=_START_PASSES, random_state=int(seed)) for seed in seeds]
    ordered = sorted((run.fit(points[some], sample_weight=counts) for run in runs), key=lambda run: float(run.inertia_))
    return [run.cluster_centers_ for run in ordered[: _KEPT_STARTS[len(points) * count > _FEW_DISTANCES]]]


def _far_apart(points: Array, count: int, random: np.random.Generator) -> Array:
    """Choose points each of which is farthest from those before it, as coremltools does, so that outliers are covered."""
    chosen = [int(random.integers(len(points)))]
    nearest = np.full(len(points), np.inf, np.float32)
    while len(chosen) < count:
        np.minimum(nearest, np.square(points - points[chosen[-1]]).sum(axis=1), out=nearest)
        chosen.append(int(nearest.argmax()))
    return points[chosen]


def _centres(points: Array, importance: Array | None, labels: NDArray[np.int32], found: Array) -> Array:
    """The means of the labelled points, summed in double precision; ``found`` where a cluster is empty."""
    mass = np.bincount(labels, importance, len(found))
    sums = [
        np.bincount(labels, column if importance is None else column * importance, len(found)) for column in points.T
    ]
    means = np.stack(sums, axis=1) / np.maximum(mass, 1e-300)[:, None]
    return np.where(mass[:, None] > 0, means, found).astype(np.float32)
