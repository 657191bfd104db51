"""The first op that departs from the reference."""

import pytest
import torch
from torch import nn

from palettune.device_bench.runtime import compare, load
from tests.device_bench.runtime.support.altered import altered
from tests.device_bench.runtime.support.architectures import ARCHITECTURES, randomized, save_module


@pytest.mark.parametrize(
    ("parameter", "op_type"),
    [("one.weight", "conv"), ("three.weight", "conv"), ("pooled.1.weight", "conv"), ("dense.weight", "conv")],
)
def test_the_first_op_that_departs_is_named_with_its_weight(pair, parameter, op_type):
    path, module, samples = pair
    program = load(path)
    shape = module.get_parameter(parameter).shape
    (name,) = [n for n, w in program.weights.items() if w.tensor.shape == shape and n.endswith("weight")]
    other = altered(module, parameter, lambda weight: weight.copy_(torch.randn_like(weight)))
    comparison = compare(program, other, samples, threshold_db=60)
    assert not comparison.passed
    assert comparison.first_difference.op_type == op_type
    assert name in comparison.first_difference.weights
    assert name in str(comparison)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["transformer encoder", "u-net", "audio"])
def test_the_departure_is_found_in_networks_with_branches_and_other_layouts(name, tmp_path):
    torch.manual_seed(1)
    make, example = ARCHITECTURES[name]
    module, x = randomized(make()), example()
    path = save_module(module, x, tmp_path / "net.mlpackage")
    parameters = {"transformer encoder": "blocks.1.mlp.0.weight", "u-net": "up.weight", "audio": "dilated.1.weight"}
    parameter = parameters[name]
    shape = module.get_parameter(parameter).shape
    other = altered(module, parameter, lambda weight: weight.mul_(1.5))
    first_difference = compare(path, other, [(x,)]).first_difference
    assert any(load(path).weights[weight].tensor.numel() == shape.numel() for weight in first_difference.weights), (
        first_difference
    )


def test_a_module_that_writes_in_place_is_followed(tmp_path):
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

        def forward(self, x):
            y = self.first(x)
            y.relu_()
            y.mul_(2).add_(1)
            return self.second(y).tanh_()

    torch.manual_seed(0)
    module, x = InPlace().eval(), torch.randn(1, 3, 8, 8)
    path = save_module(module, x, tmp_path / "net.mlpackage", traced=True)
    assert compare(path, module, [(x,)]).passed
    first_difference = compare(path, altered(module, "second.bias", lambda bias: bias.add_(1)), [(x,)]).first_difference
    assert first_difference.op_type == "conv"
    assert any("second" in weight for weight in first_difference.weights)
