"""Bicubic resizing against torch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from palettune.device_bench.conversion.ops.bicubic import cubic_matrix
from tests.device_bench.conversion.ops.twins import check

lengths = st.integers(1, 9)


@settings(max_examples=60, deadline=None)
@given(lengths, lengths, lengths, lengths, st.booleans())
def test_two_products_are_the_resizing(height, width, rows, columns, corners):
    x = torch.randn(1, 2, height, width, generator=torch.Generator().manual_seed(height))
    up, across = (
        torch.from_numpy(cubic_matrix(before, after, corners, None))
        for before, after in ((height, rows), (width, columns))
    )
    expected = F.interpolate(x, size=(rows, columns), mode="bicubic", align_corners=corners)
    torch.testing.assert_close(up @ x @ across.T, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.matrix(2)
@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("how", [{"size": (9, 4)}, {"scale_factor": 1.7}, {"scale_factor": (2.0, 0.5)}])
def test_a_package_resizes_as_torch_does(how, corners, tmp_path):
    def resize(x):
        return F.interpolate(x, mode="bicubic", align_corners=corners, **how)

    check(resize, (torch.randn(1, 3, 5, 8),), tmp_path)
