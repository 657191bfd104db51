"""Ranges of activations: near the best 8 bits can do, and clear where there is nothing to round."""

import pytest
import torch
from torch import nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package_model.quantized_activation import ActivationQuantization
from palettune.evaluators.calibration.activation_ranges import ActivationRangeError, activation_ranges
from palettune.space.layer import Layer, LayerKind, WeightView


def samples_of(values):
    return [(value[None],) for value in values]


def test_rounding_errs_no_more_than_the_whole_range_would():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    values = torch.randn(32, 16)
    found = activation_ranges(model, layers_of(model), samples_of(values))
    for name, entering in (("0", values), ("2", model[:2](values).detach())):
        error = (found[name].round(entering) - entering).square().mean()
        step = (entering.max() - entering.min()) / 255
        assert error < 1.3 * step**2 / 12
    assert found["2"].zero_point == 0  # nothing is negative after a ReLU


def test_a_weight_without_a_call_has_the_range_of_what_its_ops_multiply():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense, self.held = nn.Linear(16, 16, bias=False), nn.Parameter(torch.zeros(16, 4))

        def forward(self, x):
            return nn.functional.linear(x, self.dense.weight).relu() @ self.held

    torch.manual_seed(0)
    model = Functional().eval()
    called = nn.Sequential(model.dense, nn.ReLU(), nn.Linear(16, 4)).eval()
    held = Layer("held", LayerKind.MATMUL, (16, 4), parameter="held")
    samples = samples_of(torch.randn(32, 16))
    found = activation_ranges(model, [*layers_of(model), held], samples)
    expected = activation_ranges(called, layers_of(called), samples)
    for name, other in (("dense", "0"), ("held", "2")):
        assert found[name] == ActivationQuantization(expected[other].scale, expected[other].zero_point, by_op=True)
        assert not expected[other].by_op


def test_a_layer_with_nothing_to_round_is_named():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.unused, self.used = nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 8)
            self.held = nn.Parameter(torch.zeros(4, 4))

        def forward(self, x):
            return nn.functional.linear(self.table(x), self.used.weight)

    model, samples = Odd(), [(torch.tensor([[1, 2]]),)]
    held = Layer("held", LayerKind.LINEAR, (4, 4), parameter="held")
    part = Layer(
        "part", LayerKind.LINEAR, (4, 4), parameter="used.weight", view=WeightView(0, (4, 1))
    )  # its op takes other rows, too
    uncalled = [(layer, "no op takes its weight alone") for layer in ("unused", "held", "part")]
    layers = {layer.name: layer for layer in (*layers_of(model), held, part)}
    for name, words in (("table", "no floating-point"), *uncalled):
        with pytest.raises(ActivationRangeError, match=words) as caught:
            activation_ranges(model, [layers[name]], samples)
        assert caught.value.layer == name
    alone = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ActivationRangeError, match="not finite"):
        activation_ranges(alone, layers_of(alone), [(torch.tensor([[1.0, torch.inf]]),)])
