"""Normalizations that alone receive a layer's outputs are found, whatever the model, and take back any scales."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from palettune.device_bench.model.layer_weight import layer_weight, put_layer_weight
from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.weights.normalizations import take_back, with_normalizations

MODULES = [
    (nn.Conv1d, nn.BatchNorm1d, {}, 1),
    (nn.Conv2d, nn.BatchNorm2d, {"bias": False}, 2),
    (nn.Conv2d, nn.BatchNorm2d, {"groups": 4, "padding": 1, "padding_mode": "circular"}, 2),
    (nn.Conv3d, nn.BatchNorm3d, {}, 3),
    (nn.ConvTranspose1d, nn.BatchNorm1d, {}, 1),
    (nn.ConvTranspose2d, nn.BatchNorm2d, {"stride": 2}, 2),
    (nn.ConvTranspose3d, nn.BatchNorm3d, {"bias": False}, 3),
    (nn.Linear, nn.BatchNorm1d, {}, 0),
]


def lively(model):
    """In evaluation mode, with statistics that differ by channel, and some gains below zero."""
    for part in model.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            if part.affine:
                nn.init.normal_(part.weight)
                nn.init.normal_(part.bias)
            if part.track_running_stats:
                part.running_mean.normal_()
                part.running_var.uniform_(0.2, 3)
    return model.eval().requires_grad_(False)


def found(model, example):
    """Names of layers and of the weights of their normalizations."""
    layers = with_normalizations(model, layers_of(model), lambda changed: changed(example))
    return {layer.name: layer.normalization.weight for layer in layers if layer.normalization is not None}


class Rewired(nn.Module):
    """A convolution and a normalization, joined by ``way``."""

    def __init__(self, way, **norm):
        super().__init__()
        self.way = way
        self.conv, self.norm, self.other = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, **norm), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return self.way(self, x)


def in_place(m, x):
    y = m.conv(x)
    z = m.norm(y)
    y += 1
    return z + y.mean()


def in_training(m, x):
    norm = m.norm
    return F.batch_norm(m.conv(x), None, None, norm.weight, norm.bias, training=True)


WAYS = {
    "alone": (lambda m, x: m.norm(m.conv(x)), True),
    "functional": (
        lambda m, x: F.batch_norm(F.conv2d(x, m.conv.weight), m.norm.running_mean, m.norm.running_var, m.norm.weight),
        True,
    ),
    "called again for its shape": (lambda m, x: m.norm(m.conv(x) if m.conv(x).shape[1] else x), True),
    "asked for its shape": (lambda m, x: (lambda y: m.norm(y) * y.shape[0] * y.dim())(m.conv(x)), True),
    "around it": (lambda m, x: (lambda y: m.norm(y) + y)(m.conv(x)), False),
    "an output of the model": (lambda m, x: (lambda y: (m.norm(y), y))(m.conv(x)), False),
    "after an activation": (lambda m, x: m.norm(m.conv(x).relu()), False),
    "changed in place": (in_place, False),
    "two layers, one normalization": (lambda m, x: m.norm(m.conv(x)) + m.norm(m.other(x)), False),
    "one layer, two normalizations": (lambda m, x: m.norm(m.conv(x)) + F.batch_norm(m.conv(x), m.norm.running_mean, m.norm.running_var), False),
    "its weight is read": (lambda m, x: m.norm(m.conv(x)) + m.conv.weight.sum(), False),
    "its bias is read": (lambda m, x: m.norm(m.conv(x)) + m.conv.bias.sum(), False),
    "the gain is read": (lambda m, x: m.norm(m.conv(x)) * m.norm.weight.sum(), False),
    "the mean is read": (lambda m, x: m.norm(m.conv(x)) * m.norm.running_mean.sum(), False),
    "the statistics of the batch": (in_training, False),
    "no normalization": (lambda m, x: m.conv(x), False),
}  # fmt: skip


@pytest.mark.parametrize("case", WAYS)
def test_only_a_normalization_that_alone_receives_the_outputs_takes_scales_back(case):
    way, expected = WAYS[case]
    model = lively(Rewired(way))
    assert ("conv" in found(model, torch.randn(2, 4, 3, 3))) == expected


@pytest.mark.parametrize("without", [{"affine": False}, {"track_running_stats": False}])
def test_a_normalization_without_a_weight_or_statistics_takes_nothing_back(without):
    model = lively(Rewired(WAYS["alone"][0], **without))
    assert found(model, torch.randn(2, 4, 3, 3)) == {}


@pytest.mark.parametrize(("kind", "norm", "options", "axes"), MODULES)
@given(seed=st.integers(0, 2**31))
@settings(max_examples=5)
def test_every_kind_of_layer_gives_its_scales_to_its_normalization(kind, norm, options, axes, seed):
    torch.manual_seed(seed)
    kernel = (3,) if axes else ()
    model = lively(nn.Sequential(kind(8, 12, *kernel, **options), norm(12), nn.ReLU()))
    example = torch.randn(2, 8, *[5] * axes)
    (layer,) = with_normalizations(model, layers_of(model), lambda changed: changed(example))
    assert layer.normalization.weight == "1.weight"
    shape = [1] * len(layer.shape)
    shape[layer.output_axis] = -1
    scale = (torch.randn(12) * 2).exp().reshape(shape)
    changed = copy.deepcopy(model)
    put_layer_weight(changed, layer, layer_weight(changed, layer) / scale)
    assert not torch.allclose(changed(example), model(example), atol=1e-3)
    take_back(changed, layer, scale)
    torch.testing.assert_close(changed(example), model(example), rtol=1e-3, atol=1e-3)


def test_nothing_is_given_where_scales_change_an_output():
    class Odd(nn.Module):
        """Looks at the weight where no operation of torch is seen."""

        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x):
            return self.norm(self.conv(x)) * float(self.conv.weight.numpy().sum())

    model = lively(Odd())
    assert found(model, torch.randn(2, 4, 3, 3)) == {}


def test_without_scales_nothing_is_changed():
    model = nn.Sequential(nn.Linear(3, 3)).eval()
    (layer,) = layers_of(model)
    before = copy.deepcopy(model)
    take_back(model, layer, None)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before.parameters(), strict=True))
