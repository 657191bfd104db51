"""Rounding at ops: what is computed is what a package holds, and nothing stays behind."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.model.layer_weight import layer_weight
from palettune.device_bench.package.program_graph import program_nodes
from palettune.device_bench.package_model.quantized_activation import ActivationQuantization
from palettune.device_bench.package_model.rounded_products import clear_rounded_products
from palettune.device_bench.proof.proof import prove
from palettune.device_bench.runtime import as_stored, compare
from palettune.evaluators.calibration.activation_ranges import activation_ranges
from palettune.evaluators.calibration.rounded_inputs import roundable_layers
from palettune.evaluators.compression.compression import compress
from palettune.evaluators.weights.model_state import ModelState, model_digest
from palettune.evaluators.weights.rounded_uses import round_uses
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind
from palettune.space.target import DeploymentTarget

ROUNDING = ActivationQuantization(0.25, 128, by_op=True)
HELD = Layer("held", LayerKind.MATMUL, (4, 3), parameter="held")


class Product(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.held = nn.Parameter(torch.randn(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.held


def test_the_ops_of_a_weight_take_rounded_values_until_the_rounding_is_removed() -> None:
    torch.manual_seed(0)
    model, x = Product(), torch.randn(2, 5, 4)
    round_uses(model, {HELD: ROUNDING})
    for gradients in (False, True):
        with torch.set_grad_enabled(gradients):
            assert torch.equal(model(x), ROUNDING.round(x) @ model.held)
            assert torch.equal(copy.deepcopy(model)(x), model(x))
    with torch.inference_mode():
        assert torch.equal(model(x), ROUNDING.round(x) @ model.held)
    clear_rounded_products(model)
    assert torch.equal(model(x), x @ model.held)


def test_training_passes_gradients_through_and_may_put_weights_of_its_own() -> None:
    torch.manual_seed(0)
    model, x = Product(), torch.randn(5, 4)
    round_uses(model, {HELD: ROUNDING})
    trained = torch.randn(4, 3, requires_grad=True)
    outputs = torch.func.functional_call(model, {"held": trained * 2}, (x,))
    assert torch.allclose(outputs, ROUNDING.round(x) @ (trained * 2))
    outputs.sum().backward()
    assert trained.grad is not None
    assert torch.allclose(trained.grad, 2 * x.sum(0)[:, None].expand(4, 3), atol=1e-5)


def test_nothing_is_left_when_the_model_fails() -> None:
    model = Product()
    round_uses(model, {HELD: ROUNDING})
    with pytest.raises(RuntimeError):
        model(torch.randn(5, 3))
    assert torch.backends.mha.get_fastpath_enabled()
    x = torch.randn(5, 4)
    assert torch.equal(x @ model.held, nn.functional.linear(x, model.held.t()))


class Functional(nn.Module):
    """Products in all ways that have no module call."""

    def __init__(self) -> None:
        super().__init__()
        self.cross = nn.MultiheadAttention(16, 2, batch_first=True)
        self.kernel = nn.Parameter(torch.randn(16, 8, 3) / 5)
        self.conv = nn.Conv1d(16, 16, 3, groups=4)
        self.functional = nn.Parameter(torch.randn(16, 16) / 4)
        self.summed = nn.Parameter(torch.randn(16, 16) / 4)
        self.left = nn.Parameter(torch.randn(6, 6) / 3)
        self.heads = nn.Parameter(torch.randn(2, 16, 8) / 4)
        self.dense = nn.Linear(16, 16)
        # these keep their inputs in fp16
        self.twice = nn.Parameter(torch.randn(16, 16) / 4)
        self.up = nn.Parameter(torch.randn(16, 8, 3) / 4)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(x)
        x = (x + self.cross(x, y, y, need_weights=False)[0]).transpose(1, 2)
        x = x + functional.conv1d(x, self.kernel, padding=1, groups=2)
        x = (x + functional.conv1d(x, self.conv.weight, padding=1, groups=4)).transpose(1, 2)
        x = torch.relu(functional.linear(x, self.functional))
        x = torch.tanh(self.left @ torch.einsum("btd,de->bte", x, self.summed))
        x = x @ self.twice + torch.relu(x) @ self.twice.t()
        x = torch.einsum("btd,hdk->bthk", x, self.heads).flatten(2)
        return self.dense(x + functional.conv_transpose1d(x.transpose(1, 2), self.up, padding=1)[:, :1].transpose(1, 2))


@pytest.mark.slow
def test_a_package_rounds_at_every_product_and_computes_what_was_evaluated(tmp_path) -> None:
    torch.manual_seed(0)
    model, target, int8 = Functional().eval(), DeploymentTarget.IOS18, Encoding.parse("int8")
    samples = [(torch.randn(1, 6, 16),) for _ in range(8)]
    base = base_program(model, samples[0], target)
    layers = {layer.name: layer for layer in base.layers}
    taking = roundable_layers(model, samples[0], base.layers)
    assert layers.keys() - taking == {"twice", "up"}
    weights = {name: compress(layer_weight(model, layer), layer, int8) for name, layer in layers.items()}
    plain = ModelState(
        Configuration(dict.fromkeys(layers, int8)),
        model_digest(model),
        weights,
        dict.fromkeys(layers, "data_free"),
        layers={name: layer for name, layer in layers.items() if layer.module is None},
    )
    ranges = activation_ranges(plain.apply(model, metadata=False), [layers[name] for name in taking], samples)
    assert [name for name, rounding in ranges.items() if not rounding.by_op] == ["dense"]
    asked = Configuration(dict.fromkeys(layers, int8), dict.fromkeys(taking, Precision.INT8))
    state = ModelState.load(plain.rounded(asked, ranges, layers).save(tmp_path))
    evaluated, path = state.apply(model, metadata=False), tmp_path / "model.mlpackage"
    convert(state.apply(model), samples[0], target).save(str(path))
    assert [node.kind for node in program_nodes(path)].count("quantize") == len(taking) == 10
    assert not prove(path, state.apply(model), samples[0], asked, base.layers, target).failures
    found = compare(path, as_stored(evaluated), samples)
    without = compare(path, as_stored(plain.apply(model, metadata=False)), samples)
    assert found.snr_db > 60 > without.snr_db + 10
