"""Resizing against torch, and against the figures in coremltools' documentation."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.device_bench.runtime.support.arrays import SOME, close, floats, seeds
from tests.device_bench.runtime.support.mil import outputs_of

GRID = {  # the examples in the documentation of ``resize_bilinear``, two pixels with the values 0 and 1
    ("UNALIGN_CORNERS", 5): [0.0, 0.1, 0.5, 0.9, 1.0],
    ("STRICT_ALIGN_CORNERS", 5): [0.0, 0.25, 0.5, 0.75, 1.0],
    ("ALIGN_CORNERS", 5): [0.0, 0.25, 0.5, 0.75, 1.0],
    ("DEFAULT", 5): [0.0, 0.4, 0.8, 1.0, 1.0],
    ("OFFSET_CORNERS", 5): [0.1, 0.3, 0.5, 0.7, 0.9],
    ("UNALIGN_CORNERS", 6): [0.0, 0.0, 0.3333, 0.6667, 1.0, 1.0],
    ("DEFAULT", 6): [0.0, 0.3333, 0.6667, 1.0, 1.0, 1.0],
    ("OFFSET_CORNERS", 6): [0.0833, 0.25, 0.4167, 0.5833, 0.75, 0.9167],
}


@pytest.mark.parametrize("case", sorted(GRID))
def test_resize_bilinear_samples_as_documented(case):
    mode, size = case
    x = np.array([0, 1], np.float32).reshape(1, 1, 1, 2)
    attributes = {"target_size_height": 1, "target_size_width": size, "sampling_mode": mode}
    (mine,) = outputs_of("resize_bilinear", attributes, x=x)
    close(mine[0, 0, 0], np.array(GRID[case]), atol=1e-4)
    shape = np.array([1, size], np.int32)
    attributes = {"shape": shape, "resized_dims": np.uint32(2), "sampling_mode": mode}
    (mine,) = outputs_of("resize", attributes, x=x)
    close(mine[0, 0, 0], np.array(GRID[case]), atol=1e-4)


@SOME
@given(st.integers(2, 5), st.sampled_from([1.0, 1.5, 2.0, 3.0]), st.booleans(), seeds)
def test_upsampling_is_torchs(size, factor, align, seed):
    x = floats((1, 2, size, size + 1), seed)
    factors = {"scale_factor_height": np.float32(factor), "scale_factor_width": np.float32(factor)}
    target = [int(size * factor), int((size + 1) * factor)]
    (mine,) = outputs_of("upsample_bilinear", {**factors, "align_corners": align}, x=x)
    close(mine, F.interpolate(torch.tensor(x), target, mode="bilinear", align_corners=align))
    (mine,) = outputs_of("upsample_nearest_neighbor", factors, x=x)
    close(mine, F.interpolate(torch.tensor(x), target, mode="nearest"))
    attributes = {"target_size_height": target[0], "target_size_width": target[1]}
    (mine,) = outputs_of("resize_nearest_neighbor", attributes, x=x)
    close(mine, F.interpolate(torch.tensor(x), target, mode="nearest-exact"))
