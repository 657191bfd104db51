"""Ranges of activations: near the best 8 bits can do, and clear where there is nothing to round."""

import pytest
import torch
from torch import nn

from palettune.evaluators.calibration.activation_ranges import ActivationRangeError, activation_ranges


def samples_of(values):
    return [(value[None],) for value in values]


def test_rounding_errs_no_more_than_the_whole_range_would():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    values = torch.randn(32, 16)
    found = activation_ranges(model, ["0", "2"], samples_of(values))
    for name, entering in (("0", values), ("2", model[:2](values).detach())):
        error = (found[name].round(entering) - entering).square().mean()
        step = (entering.max() - entering.min()) / 255
        assert error < 1.3 * step**2 / 12
    assert found["2"].zero_point == 0  # nothing is negative after a ReLU


def test_a_layer_with_nothing_to_round_is_named():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.unused, self.used = nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 4)
            self.held = nn.Parameter(torch.zeros(4, 4))

        def forward(self, x):
            return nn.functional.linear(self.table(x), self.used.weight)

    samples = [(torch.tensor([[1, 2]]),)]
    uncalled = [(layer, "never called") for layer in ("unused", "used", "held")]
    for layer, words in (("table", "no floating-point"), *uncalled):
        with pytest.raises(ActivationRangeError, match=words) as caught:
            activation_ranges(Odd(), [layer], samples)
        assert caught.value.layer == layer
    with pytest.raises(ActivationRangeError, match="not finite"):
        activation_ranges(nn.Sequential(nn.Linear(2, 2)), ["0"], [(torch.tensor([[1.0, torch.inf]]),)])
