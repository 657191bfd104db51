"""Layer statistics against the layers themselves."""

import copy

import coremltools as ct
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.evaluators.calibration.layer_statistics import (
    StatisticsCache,
    as_matrices,
    from_matrices,
    layer_statistics,
    observable,
)
from palettune.evaluators.calibration.samples import CalibrationSamples
from palettune.space.layer import Layer, LayerKind
from tests.evaluators.every_use import every_layer, every_use, sentences


def convolution(kind, groups, stride, dilation, padding, mode):
    cls = nn.Conv1d if kind == "1d" else nn.Conv2d
    return cls(4, 6, 3, stride=stride, dilation=dilation, padding=padding, groups=groups, padding_mode=mode)


CONVOLUTIONS = st.builds(
    convolution,
    st.sampled_from(["1d", "2d"]),
    st.sampled_from([1, 2]),
    st.just(1),
    st.integers(1, 2),
    st.sampled_from([0, 1, 2, "same", "valid"]),
    st.sampled_from(["zeros", "reflect", "circular"]),
) | st.builds(
    convolution,
    st.sampled_from(["1d", "2d"]),
    st.sampled_from([1, 2]),
    st.just(2),
    st.just(1),
    st.sampled_from([0, 1]),
    st.just("zeros"),
)


@settings(max_examples=25, deadline=None)
@given(CONVOLUTIONS)
def test_the_error_of_a_convolution_is_that_of_its_output(module):
    shape = (1, 4, 12) if isinstance(module, nn.Conv1d) else (1, 4, 5, 6)
    check(module, [torch.randn(shape) for _ in range(3)])


@pytest.mark.parametrize("shape", [(1, 5), (1, 3, 5), (1, 2, 4, 5)])
def test_the_error_of_a_linear_layer_is_that_of_its_output(shape):
    check(nn.Linear(5, 7), [torch.randn(shape) for _ in range(3)])


def check(module, inputs):
    model = nn.Sequential(module).eval()
    (layer,) = layers_of(model)
    samples = [(value,) for value in inputs]
    statistics = layer_statistics(model, [layer], samples, samples)["0"]
    difference = torch.randn(layer.shape)
    changed = copy.deepcopy(model)
    changed[0].weight.data += difference
    with torch.no_grad():
        errors = [(changed(x) - model(x)).square() for x in inputs]
    positions = [e.sum() / layer.output_channels / (e.numel() / layer.output_channels) for e in errors]
    expected = [float(p) * layer.output_channels for p in positions]
    assert torch.allclose(torch.tensor(statistics.errors(difference, layer)), torch.tensor(expected), rtol=1e-3)
    matrices = as_matrices(difference, layer)
    assert torch.equal(from_matrices(matrices, layer), difference)
    # the Gram matrix gives the mean error over all columns
    by_gram = torch.einsum("grk,gkl,grl->", matrices, statistics.gram, matrices)
    assert torch.allclose(by_gram, torch.tensor(expected).mean(), rtol=1e-3)


def test_statistics_come_in_parts_where_memory_is_small_and_are_the_same():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 3)).eval()
    model.add_module("spare", nn.Identity())
    layers = layers_of(model)
    samples = CalibrationSamples(*([tuple((torch.randn(1, 6),) for _ in range(4))] * 2), "digest")
    whole, parts = (
        StatisticsCache(model, layers, samples),
        StatisticsCache(model, layers, samples, memory_bytes=8 * 8 * 4),
    )
    for name in ("3", "0", "2"):
        assert torch.allclose(whole.get(name).gram, parts.get(name).gram)
        assert len(parts._looked) == 1
    small = StatisticsCache(model, layers, samples, memory_bytes=6 * 6 * 4)
    assert small.get("0") is not None
    assert small.get("2") is None  # larger than the memory by itself
    assert small.lacking("2").startswith("they need more than")


def test_layers_that_no_input_reaches_or_of_other_kinds_have_none():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.ConvTranspose1d(2, 2, 2)

        def forward(self, x):
            return self.a(x)

    model = Network().eval()
    samples = CalibrationSamples(*([tuple((torch.randn(1, 4),) for _ in range(4))] * 2), "digest")
    cache = StatisticsCache(model, layers_of(model), samples)
    assert cache.get("a") is not None
    assert cache.get("b") is None
    assert not observable(layers_of(model)[2])


def test_every_use_of_a_weight_has_statistics():
    model, layers = every_use(), every_layer()
    found = layer_statistics(model, layers, sentences(8), sentences(4, seed=1))
    assert set(found) == {layer.name for layer in layers} - {"words"}  # unused rows would count for nothing
    assert {len(statistics.columns) for statistics in found.values()} == {4}  # one for each sample, however many steps
    assert {statistics.columns[0].shape[-1] for statistics in found.values()} == {6}
    gates = [found[f"gru.weight_ih_l0.{number}"].gram for number in range(3)]
    assert torch.equal(gates[0], gates[1])
    assert torch.equal(gates[0], gates[2])


def test_a_matrix_product_has_the_statistics_of_its_inputs():
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.held = nn.Parameter(torch.randn(5, 7))

        def forward(self, x):
            return x @ self.held

    model = Product().eval()
    layer = Layer("held", LayerKind.MATMUL, (5, 7), parameter="held")
    samples = [(torch.randn(3, 5),) for _ in range(4)]
    statistics = layer_statistics(model, [layer], samples, samples)["held"]
    difference = torch.randn(5, 7)
    expected = [float((x @ difference).square().sum() / 3) for (x,) in samples]
    assert statistics.errors(difference, layer) == pytest.approx(expected, rel=1e-4)
    matrices = as_matrices(difference, layer)
    assert matrices.shape == (1, 7, 5)
    assert torch.equal(from_matrices(matrices, layer), difference)


def test_a_module_whose_weight_is_used_without_a_call_has_statistics():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.query, self.key = nn.Linear(4, 6), nn.Linear(4, 6)

        def forward(self, x):
            return nn.functional.linear(x, self.query.weight) * self.key(x)

    model = Functional().eval()
    samples = [(torch.randn(3, 4),) for _ in range(4)]
    found = layer_statistics(model, layers_of(model), samples, samples)
    assert torch.allclose(found["query"].gram, found["key"].gram)
    assert [one.shape for one in found["query"].columns] == [one.shape for one in found["key"].columns]


def test_what_has_no_columns_is_not_observable():
    assert not observable(Layer("words", LayerKind.EMBEDDING, (4, 4)))
    assert not observable(Layer("experts", LayerKind.MATMUL, (2, 4, 4)))
    assert observable(Layer("gates", LayerKind.RECURRENT, (8, 4)))


def test_products_and_recurrent_steps_of_a_package_have_statistics(tmp_path):
    from coremltools.converters.mil.mil import Builder as mb

    def random(seed, *shape):
        return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)

    @mb.program(input_specs=[mb.TensorSpec(shape=(5, 1, 64))], opset_version=ct.target.iOS17)
    def program(x):
        x = mb.matmul(x=x, y=mb.const(val=random(0, 64, 48), name="product"))
        weights = {
            "weight_ih": mb.const(val=random(1, 128, 48), name="steps"),
            "weight_hh": mb.const(val=random(2, 128, 32), name="states"),
        }
        state = np.zeros((1, 32), np.float32)
        return mb.lstm(x=x, initial_h=state, initial_c=state, output_sequence=True, **weights)[0]

    options = {"compute_precision": ct.precision.FLOAT32, "skip_model_load": True}
    model = ct.convert(program, minimum_deployment_target=ct.target.iOS17, **options)
    model.save(str(tmp_path / "steps.mlpackage"))
    package = PackageModule(tmp_path / "steps.mlpackage")
    samples = [(torch.randn(5, 1, 64),) for _ in range(4)]
    found = layer_statistics(package, layers_of(package), samples, samples)
    assert {name: statistics.columns[0].shape for name, statistics in found.items()} == {
        "product": (1, 64, 5),
        "lstm_0.steps": (1, 48, 5),
        "lstm_0.states": (1, 32, 5),
    }
