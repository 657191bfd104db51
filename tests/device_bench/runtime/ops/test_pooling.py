"""Poolings against torch's layers and NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.device_bench.runtime.support.arrays import SOME, close, floats, same_pads, seeds
from tests.device_bench.runtime.support.mil import outputs_of


@SOME
@given(
    st.sampled_from([1, 2, 3]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 1),
    st.booleans(),
    st.booleans(),
    seeds,
)
def test_pooling(rank, kernel, stride, pad, ceil_mode, exclude, seed):
    pad, ceil_mode = min(pad, kernel // 2), ceil_mode and rank < 3
    x = floats((1, 2, *[7] * rank), seed)
    shared = {"kernel_sizes": [kernel] * rank, "strides": [stride] * rank, "pad": [pad] * 2 * rank}
    shared |= {"pad_type": "custom", "ceil_mode": ceil_mode}
    (largest,) = outputs_of("max_pool", shared, x=x)
    (mean,) = outputs_of("avg_pool", {**shared, "exclude_padding_from_average": exclude}, x=x)
    max_layer = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[rank]
    avg_layer = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[rank]
    close(largest, max_layer(torch.tensor(x), kernel, stride, pad, ceil_mode=ceil_mode))
    close(mean, avg_layer(torch.tensor(x), kernel, stride, pad, ceil_mode, not exclude))


@pytest.mark.parametrize("pad_type", ["same", "same_lower", "custom"])
@pytest.mark.parametrize("exclude", [True, False])
def test_pooling_with_uneven_padding(pad_type, exclude):
    x = floats((1, 1, 6, 5), 0, 0.5, 2)
    kernel, strides = [2, 3], [1, 2]
    pads = same_pads((6, 5), kernel, strides, [1, 1], pad_type == "same_lower")
    shared = {"kernel_sizes": kernel, "strides": strides, "pad_type": pad_type}
    if pad_type == "custom":
        pads = [(0, 1), (2, 1)]
        shared["pad"] = [0, 1, 2, 1]
    padded = np.pad(x, [(0, 0), (0, 0), *pads], constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, (2, 3))[:, :, :: strides[0], :: strides[1]]
    (largest,) = outputs_of("max_pool", shared, x=x)
    close(largest, np.nanmax(windows, (-2, -1)))
    (mean,) = outputs_of("avg_pool", {**shared, "exclude_padding_from_average": exclude}, x=x)
    close(mean, np.nanmean(windows, (-2, -1)) if exclude else np.nansum(windows, (-2, -1)) / 6)
    (length,) = outputs_of("l2_pool", shared, x=x)
    close(length, np.sqrt(np.nansum(windows**2, (-2, -1))))
