"""Sampling at coordinates against torch, and against the figures in coremltools' tests."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.device_bench.runtime.support.arrays import close, floats
from tests.device_bench.runtime.support.mil import outputs_of

CROPS = [  # figures of coremltools' ``ops/tests/iOS14/test_image_resizing.py``
    ([1, 1, 2, 2], 2, [[6, 7], [10, 11]]),
    ([1, 1, 2, 2], 1, [[8.5]]),
    ([2, 2, 1, 1], 2, [[11, 10], [7, 6]]),
    (
        [1, 1, 2, 2],
        4,
        [[6, 6.3333, 6.6667, 7], [7.3333, 7.6667, 8, 8.3333], [8.6667, 9, 9.3333, 9.6667], [10, 10.3333, 10.6667, 11]],
    ),
]


@pytest.mark.parametrize(("box", "size", "expected"), CROPS)
def test_crop_resize(box, size, expected):
    x = np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)
    attributes = {"target_height": size, "target_width": size, "sampling_mode": "ALIGN_CORNERS"}
    roi = np.array(box, np.float32).reshape(1, 1, 4, 1, 1)
    (mine,) = outputs_of("crop_resize", attributes, opset="iOS16", x=x, roi=roi)
    close(mine[0, 0, 0], np.array(expected), atol=1e-3)
    boxes, indices = np.array([box], np.float32), np.array([0], np.int32)
    (mine,) = outputs_of("crop_resize", attributes, x=x, boxes=boxes, box_indices=indices)
    close(mine[0, 0], np.array(expected), atol=1e-3)
    named = np.array([0, *box], np.float32).reshape(1, 1, 5, 1, 1)
    (mine,) = outputs_of("crop_resize", attributes, opset="iOS15", x=x, roi=named)
    close(mine[0, 0, 0], np.array(expected), atol=1e-3)


def test_crop_beyond_the_image_is_padded():
    x = np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)
    attributes = {"target_height": 2, "target_width": 2, "sampling_mode": "ALIGN_CORNERS", "pad_value": np.float32(9)}
    boxes, indices = np.array([[2, 2, 5, 3]], np.float32), np.array([0], np.int32)
    (mine,) = outputs_of("crop_resize", attributes, x=x, boxes=boxes, box_indices=indices)
    close(mine[0, 0], np.array([[11, 12], [9, 9]]))


@pytest.mark.parametrize("padding", ["constant", "border", "reflection"])
@pytest.mark.parametrize("sampling", ["bilinear", "nearest"])
@pytest.mark.parametrize("align", [True, False])
def test_resample_is_torchs_grid_sample(padding, sampling, align):
    # torch mirrors about the edge when corners are not aligned
    padding_names = "symmetric" if padding == "reflection" and not align else padding
    x, grid = floats((2, 3, 5, 4), 0), floats((2, 3, 6, 2), 1, -1.4, 1.4)
    attributes = {"sampling_mode": sampling, "padding_mode": padding_names, "padding_value": np.float32(0)}
    attributes |= {"coordinates_mode": "normalized_minus_one_to_one", "align_corners": align}
    (mine,) = outputs_of("resample", attributes, x=x, coordinates=grid)
    names = {"constant": "zeros"}
    expected = F.grid_sample(torch.tensor(x), torch.tensor(grid), sampling, names.get(padding, padding), align)
    close(mine, expected)


def test_resample_by_pixels_with_a_padding_value():
    x = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    pixels = np.array([[[0, 0], [2, 1], [1, 0], [7, 0]]], np.int32).reshape(1, 1, 4, 2)
    attributes = {"sampling_mode": "nearest", "padding_mode": "constant", "padding_value": np.float32(-1)}
    attributes |= {"coordinates_mode": "unnormalized", "align_corners": True}
    (mine,) = outputs_of("resample", attributes, x=x, coordinates=pixels)
    close(mine[0, 0, 0], np.array([0, 5, 1, -1], np.float32))


def test_affine_is_torchs():
    x, matrix = floats((2, 1, 5, 6), 0), floats((2, 6), 1, -1, 1)
    attributes = {"output_height": 4, "output_width": 3, "sampling_mode": "bilinear", "padding_mode": "constant"}
    attributes |= {
        "padding_value": np.float32(0),
        "coordinates_mode": "normalized_minus_one_to_one",
        "align_corners": True,
    }
    (mine,) = outputs_of("affine", attributes, x=x, transform_matrix=matrix)
    grid = F.affine_grid(torch.tensor(matrix).reshape(2, 2, 3), [2, 1, 4, 3], align_corners=True)
    close(mine, F.grid_sample(torch.tensor(x), grid, align_corners=True))
