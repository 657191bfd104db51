"""Activations in 8 bits: the rounding itself, and that it is in the package where it was asked for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package.program_graph import program_nodes
from palettune.device_bench.package_model.quantized_activation import (
    ActivationQuantization,
    clear_activations,
    quantize_activations,
)
from palettune.device_bench.proof.proof import prove
from palettune.device_bench.runtime import as_stored, compare
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import FP16
from palettune.space.target import DeploymentTarget


@given(
    scale=st.sampled_from([0.125, 0.0234375, 1.0]),
    zero=st.integers(0, 255),
    signed=st.booleans(),
    values=st.lists(st.floats(-300, 300, width=32), min_size=1, max_size=9),
)
def test_rounding_is_to_the_nearest_level_within_the_range(scale, zero, signed, values):
    quantization = ActivationQuantization(scale, zero - 128 * signed, signed)
    found = quantization.round(torch.tensor(values))
    levels = torch.arange(quantization.low, quantization.high + 1) - quantization.zero_point
    levels = levels * scale
    nearest = (levels[None] - torch.tensor(values)[:, None]).abs().amin(1)
    assert torch.allclose((found - torch.tensor(values)).abs(), nearest, atol=1e-4)
    assert torch.isin(found, levels).all()


def test_gradients_go_straight_through_inside_the_range_only():
    values = torch.tensor([0.3, 50.0, -1.0], requires_grad=True)
    rounded = ActivationQuantization(0.125, 0).round(values)
    rounded.sum().backward()
    assert torch.equal(rounded.detach(), torch.tensor([0.25, 31.875, 0.0]))
    assert torch.equal(values.grad, torch.tensor([1.0, 0.0, 0.0]))


@pytest.mark.parametrize(
    ("scale", "zero", "signed"), [(0.0, 0, False), (0.1, 0, False), (0.5, 256, False), (0.5, 128, True)]
)
def test_what_no_package_can_hold_is_refused(scale, zero, signed):
    with pytest.raises(ValueError, match=r"scale|zero point"):
        ActivationQuantization(scale, zero, signed)


@pytest.mark.slow
def test_the_package_quantizes_where_asked_and_is_proven(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU6(), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten(), nn.Linear(8 * 36, 5)
    ).eval()
    inputs = (torch.randn(1, 3, 8, 8),)
    layers = layers_of(model)
    quantize_activations(model, "0", ActivationQuantization(0.0234375, 120))
    quantize_activations(model, "4", ActivationQuantization(0.0234375, 0, signed=True))
    quantize_activations(model, "2", ActivationQuantization(0.5, 0))
    clear_activations(model[2])
    path = tmp_path / "model.mlpackage"
    convert(model, inputs, DeploymentTarget.IOS18).save(str(path))
    kinds = [node.kind for node in program_nodes(path)]
    assert kinds.count("quantize") == kinds.count("dequantize") == 2
    asked = Configuration(dict.fromkeys(("0", "2", "4"), FP16), dict.fromkeys(("0", "4"), Precision.INT8))
    assert not prove(path, model, inputs, asked, layers, DeploymentTarget.IOS18).failures
    assert compare(path, as_stored(model), [inputs]).passed


@pytest.mark.slow
def test_a_model_that_only_tracing_converts_is_rounded_too(tmp_path):
    class Traced(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.head = nn.LSTM(8, 16, batch_first=True), nn.Linear(16, 4)

        def forward(self, x):
            return self.head(torch.tanh(self.lstm(x)[0]))

    model = Traced().eval()
    inputs = (torch.randn(1, 5, 8),)
    for signed in (False, True):
        quantize_activations(model, "head", ActivationQuantization(0.0078125, 0 if signed else 128, signed))
        convert(model, inputs, DeploymentTarget.IOS18).save(str(tmp_path / "p.mlpackage"))
        kinds = [node.kind for node in program_nodes(tmp_path / "p.mlpackage")]
        assert kinds[kinds.index("quantize") :][:3] == ["quantize", "dequantize", "linear"]
        assert compare(tmp_path / "p.mlpackage", model, [inputs]).snr_db > 60
