"""Ops with arguments that coremltools' own conversion of them does not take, against torch."""

import pytest
import torch
from torch.nn import functional as F

from tests.device_bench.conversion.ops.twins import check


@pytest.mark.parametrize("bounds", [(0, 20), (-0.5, 0.25), ()])
def test_bounds_may_be_whole_numbers(bounds, tmp_path):
    check(lambda x: F.hardtanh(x * 3, *bounds), (torch.randn(2, 9),), tmp_path)


@pytest.mark.slow
def test_an_outer_product_of_two_types(tmp_path):
    check(lambda x: torch.outer(torch.arange(4), x), (torch.randn(3),), tmp_path)
    check(lambda x, y: torch.outer(x, y), (torch.randn(3), torch.randn(5)), tmp_path)


@pytest.mark.parametrize("axis", [-2, 0, 2])
def test_sums_along_an_axis_from_the_back(axis, tmp_path):
    check(lambda x: x.cumsum(axis), (torch.randn(2, 3, 4),), tmp_path)


def test_sums_in_a_type_of_their_own(tmp_path):
    check(lambda x: (x * 4).cumsum(-1, dtype=torch.int32) * x, (torch.rand(2, 6),), tmp_path)


def test_sums_of_booleans(tmp_path):
    check(lambda x: (x > 0).cumsum(-1) * x, (torch.randn(2, 6),), tmp_path)
