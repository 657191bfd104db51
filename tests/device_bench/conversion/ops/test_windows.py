"""Sliding windows against torch."""

import pytest
import torch

from tests.device_bench.conversion.ops.twins import check


@pytest.mark.parametrize(("axis", "size", "step"), [(2, 3, 1), (-1, 4, 2), (1, 2, 2), (0, 1, 1)])
def test_windows_are_torchs(axis, size, step, tmp_path):
    kinds = check(lambda x: x.unfold(axis, size, step) * 2, (torch.randn(2, 5, 9),), tmp_path)
    assert "sliding_windows" in kinds.values()
