"""Random arrays for the tests of kernels, and how close two results must be."""

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st

FEW = settings(max_examples=6, deadline=None)
SOME = settings(max_examples=8, deadline=None)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
seeds = st.integers(0, 2**16)


def floats(shape, seed, low=-3.0, high=3.0):
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def integers(shape, seed, low=-6, high=7):
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.int32)


def close(mine, expected, atol=1e-5, rtol=1e-4):
    expected = expected.detach().numpy() if isinstance(expected, torch.Tensor) else expected
    assert mine.shape == expected.shape
    np.testing.assert_allclose(mine, expected, atol=atol, rtol=rtol)


def same_pads(sizes, kernel, strides, dilations, lower):
    pads = []
    for size, width, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        out = int(np.ceil(size / stride))
        total = max(0, (out - 1) * stride + (width - 1) * dilation + 1 - size)
        less, more = total // 2, total - total // 2
        pads.append((more, less) if lower else (less, more))
    return pads
