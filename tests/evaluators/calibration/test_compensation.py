"""Compensated rounding by itself."""

import torch

from palettune.evaluators.calibration.compensation import compensated


def test_without_correlation_compensation_is_plain_rounding():
    weights = torch.randn(2, 5, 300, generator=torch.Generator().manual_seed(0))
    found = compensated(weights, torch.eye(300).expand(2, -1, -1), lambda _column, values: values.round())
    assert torch.equal(found, weights.round())
