"""Moments of a module's output, by sample and channel."""

import pytest
import torch
from torch import nn

from palettune.evaluators.calibration.channel_moments import channel_axis, channel_moments, record_moments


def test_moments_are_those_of_the_samples_whatever_the_axis_and_the_windows():
    values = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(0))
    first, last = channel_moments(values, 1, 6), channel_moments(values.transpose(1, 2), -1, 6)
    assert torch.allclose(first.means, values.mean(2).double(), atol=1e-6)
    assert torch.allclose(first.variances, last.variances)
    windows = channel_moments(values, 1, 3)  # two rows of each sample
    assert torch.allclose(windows.mean, first.mean, atol=1e-6)
    assert torch.allclose(windows.deviation, first.deviation, atol=1e-6)
    with pytest.raises(ValueError, match="4 samples"):
        channel_moments(values, 1, 4)


def test_channels_lie_where_the_modules_parameters_do():
    assert [channel_axis(m) for m in (nn.BatchNorm1d(4), nn.GroupNorm(2, 4), nn.ConvTranspose1d(4, 4, 1))] == [1, 1, 1]
    assert [channel_axis(m) for m in (nn.Linear(4, 4), nn.LayerNorm(4), nn.RMSNorm(4))] == [-1, -1, -1]
    assert channel_axis(nn.LayerNorm((4, 4))) is None
    assert channel_axis(nn.ReLU()) is None


def test_modules_called_twice_are_left_out_and_passes_are_put_together():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6))
    inputs = torch.randn(5, 4)
    found = record_moments(model, {"0": model[0], "2": model[2]}, (inputs,), 5)
    assert list(found) == ["0", "2"]
    assert torch.allclose(found["0"].means, model[0](inputs).double(), atol=1e-6)
    twice = nn.Sequential(model[0], model[2], model[2])
    assert list(record_moments(twice, {"0": model[0], "1": model[2]}, (inputs,), 5)) == ["0"]
