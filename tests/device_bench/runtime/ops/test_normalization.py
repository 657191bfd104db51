"""Normalizations against coremltools' value inference, torch's layers and their formulas."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.device_bench.runtime.support.arrays import FEW, SOME, close, floats, seeds
from tests.device_bench.runtime.support.mil import assert_inferred, outputs_of


@FEW
@given(st.lists(st.integers(1, 4), min_size=3, max_size=4), seeds)
def test_norms(shape, seed):
    x = floats(shape, seed)
    assert_inferred("l2_norm", {"epsilon": np.float32(1e-3)}, x=x, rtol=1e-4)
    axes = [-2, -1]
    gamma, beta = floats(shape[-2:], seed), floats(shape[-2:], seed + 1)
    attributes = {"axes": axes, "gamma": gamma, "beta": beta, "epsilon": np.float32(1e-3)}
    assert_inferred("layer_norm", attributes, x=x, rtol=1e-3, atol=1e-4)
    attributes = {"axes": [1], "gamma": floats((shape[1],), seed), "beta": floats((shape[1],), 1)}
    assert_inferred("layer_norm", {**attributes, "epsilon": np.float32(1e-3)}, x=x, rtol=1e-3, atol=1e-4)


@SOME
@given(st.integers(3, 5), seeds)
def test_batch_and_instance_norm(rank, seed):
    x = floats((2, 3, *[4] * (rank - 2)), seed)
    mean, variance, gamma, beta = (floats((3,), seed + i, 0.1, 2) for i in range(4))
    attributes = {"mean": mean, "variance": variance, "gamma": gamma, "beta": beta, "epsilon": np.float32(1e-3)}
    (mine,) = outputs_of("batch_norm", attributes, x=x)
    shape = [1, 3] + [1] * (rank - 2)
    scaled = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + 1e-3)
    close(mine, gamma.reshape(shape) * scaled + beta.reshape(shape))
    if rank < 5:
        (mine,) = outputs_of("instance_norm", {"gamma": gamma, "beta": beta, "epsilon": np.float32(1e-3)}, x=x)
        close(mine, F.instance_norm(torch.tensor(x), weight=torch.tensor(gamma), bias=torch.tensor(beta), eps=1e-3))


def test_local_response_norm_by_its_formula():
    x = floats((1, 5, 2, 2), 0)
    attributes = {"size": 3, "alpha": np.float32(0.5), "beta": np.float32(0.75), "k": np.float32(2)}
    (mine,) = outputs_of("local_response_norm", attributes, x=x)
    squares = np.pad(x**2, [(0, 0), (1, 1), (0, 0), (0, 0)])
    around = squares[:, :-2] + squares[:, 1:-1] + squares[:, 2:]
    close(mine, x / (2 + 0.5 / 3 * around) ** 0.75)
