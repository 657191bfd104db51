"""Clustering in bounded memory against coremltools' own: as good, the same each time, and small."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from coremltools.optimize.torch._utils.k_means import KMeansConfig, SequentialKMeans
from torch import nn

from experiments.benchmarks.random_layers import layer_of
from palettune.evaluators.compression.clustering import BoundedKMeans, cluster_values, cluster_vectors
from palettune.evaluators.compression.compression import changed_since, compress
from palettune.space.encoding import Encoding

WEIGHTS = {
    "normal": lambda shape: torch.randn(shape) * 0.02,
    "rows of many sizes": lambda shape: torch.randn(shape) * torch.rand(shape[0], 1) * 0.1,
    "heavy tails": lambda shape: torch.distributions.StudentT(3.0).sample(shape),
    "small": lambda shape: torch.randn(shape) * 1e-7,
    "positive": lambda shape: torch.rand(shape) + 3,
    "an outlier": lambda shape: torch.randn(shape).index_put((torch.tensor(0), torch.tensor(0)), torch.tensor(6e4)),
    "three values": lambda shape: torch.randint(-1, 2, shape) * 0.3,
    "on the fp16 grid": lambda shape: torch.randn(shape).half().float(),
}


def clustered(kmeans, weight, importance, **options):
    module = nn.Sequential(nn.Linear(*reversed(weight.shape), bias=False))
    module[0].weight.data = weight.clone()
    torch.manual_seed(0)
    np.random.seed(0)
    kmeans.cluster_weights(module, {"0": {"weight": KMeansConfig(importance=importance, **options)}})
    return module[0]


def error(weight, found, importance):
    change = (found.weight.data - weight).double().square()
    return float((change * (1 if importance is None else importance)).sum())


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize(
    "options",
    [{"n_bits": 2}, {"n_bits": 6}, {"n_bits": 4, "block_size": 8}, {"n_bits": 3, "block_size": 16, "axis": 1}],
    ids=str,
)
def test_weighted_values_err_no_more_than_one_by_one(weights, options):
    weight = WEIGHTS[weights]((48, 64))
    importance = torch.randn(48, 64).square().clamp_min(1e-2)
    theirs, ours = (clustered(kmeans, weight, importance, **options) for kmeans in (SequentialKMeans, BoundedKMeans))
    assert error(weight, ours, importance) <= error(weight, theirs, importance) * 1.001 + 1e-12
    names = {name for name, _ in ours.named_buffers()}
    assert names == {name for name, _ in theirs.named_buffers()}
    for name in names:
        assert ours.get_buffer(name).shape == theirs.get_buffer(name).shape


@pytest.mark.slow
@pytest.mark.matrix(4)
@pytest.mark.parametrize("weights", ["normal", "rows of many sizes", "heavy tails", "positive"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "options", [{"n_bits": 3, "cluster_dim": 2}, {"n_bits": 4, "cluster_dim": 4, "axis": 1}], ids=str
)
def test_vectors_err_no_more_than_from_coremltools_starts(weights, weighted, options):
    """Local optima differ by a little either way; by far less over several layers."""
    ratios = []
    for _ in range(3):
        weight = WEIGHTS[weights]((96, 128))
        importance = torch.rand(96, 1).clamp_min(1e-2).expand(96, 128).contiguous() if weighted else None
        if weighted and "axis" not in options:
            importance = torch.rand(1, 128).clamp_min(1e-2).expand(96, 128).contiguous()
        theirs, ours = (clustered(k, weight, importance, **options) for k in (SequentialKMeans, BoundedKMeans))
        ratios.append(error(weight, ours, importance) / error(weight, theirs, importance))
    assert np.mean(ratios) <= 1.002
    assert max(ratios) <= 1.01


def test_centres_are_means_and_labels_the_nearest():
    points = torch.randn(20_000, 2).numpy()
    centres, labels = cluster_vectors(points, None, 16, seed=1)
    for label in range(16):
        assert centres[label] == pytest.approx(points[labels == label].astype(np.float64).mean(0), rel=1e-5, abs=1e-6)
    nearest = np.square(points[:, None] - centres[None]).sum(-1).argmin(1)
    assert (nearest == labels).mean() > 0.999
    again = cluster_vectors(points, None, 16, seed=1)
    assert np.array_equal(again[0], centres)
    assert np.array_equal(again[1], labels)


def test_values_that_are_few_are_kept_as_they_are():
    values = np.array([0.1, -0.25, 0.1, 3.0, 0.0], np.float32)
    centres, labels = cluster_values(values, np.ones(5, np.float32), 16)
    assert centres.tolist() == pytest.approx([-0.25, 0.0, 0.1, 3.0])
    assert centres[labels] == pytest.approx(values)
    centres, labels = cluster_values(np.zeros(7, np.float32), np.ones(7, np.float32), 4)
    assert (centres.tolist(), labels.tolist()) == ([0.0], [0] * 7)


@pytest.mark.parametrize("spelling", ["lut2-v2", "lut2-v4in"])
@pytest.mark.parametrize("value", [0.0, 0.3])
def test_vectors_that_are_all_alike_are_kept(spelling, value):
    module = nn.Linear(16, 16)
    module.weight.data.fill_(value)
    assert compress(module.weight, layer_of(module), Encoding.parse(spelling)).weight == pytest.approx(value, abs=1e-4)


def test_only_what_is_found_otherwise_than_before_has_another_key():
    changed = {
        spelling
        for spelling in ("lut4", "lut4-g16", "lut4-v2", "lut6-v4in", "lut4-scaled", "int8", "sparse50+lut4-scaled")
        if changed_since(Encoding.parse(spelling))
    }
    assert changed == {"lut4-v2", "lut6-v4in", "lut4-scaled"}


MEMORY = """
import resource, numpy as np
from palettune.evaluators.compression.clustering import cluster_values, cluster_vectors
random = np.random.default_rng(0)
values, importance = random.normal(size=2**20).astype(np.float32), random.random(2**20).astype(np.float32) + 0.01
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
cluster_values(values, importance, 64)
cluster_vectors(values[:2**18].reshape(-1, 2), importance[:2**17], 16, 0)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.slow
def test_memory_is_bounded():
    """A million weights: coremltools needs 600 MB for 64 entries."""
    answer = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert float(answer.stdout.splitlines()[-1]) < 256


def test_many_values_err_no_more_than_one_by_one():
    """More than are clustered as they are, close together and far apart."""
    weight = torch.cat([torch.rand(200, 256) + 3, torch.distributions.StudentT(2.0).sample((56, 256))])
    importance = torch.randn(256, 256).square().clamp_min(1e-2)
    theirs, ours = (clustered(kmeans, weight, importance, n_bits=4) for kmeans in (SequentialKMeans, BoundedKMeans))
    assert error(weight, ours, importance) <= error(weight, theirs, importance) * 1.001
