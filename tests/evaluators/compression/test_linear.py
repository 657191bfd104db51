"""Linear quantization: integers follow from scales in fp16."""

import pytest
import torch
from torch import nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.compression.carrier import Carrier
from palettune.evaluators.compression.linear import Quantization, quantize
from palettune.space.encoding import Encoding


def made(spelling, weight=None):
    torch.manual_seed(0)
    module = nn.Linear(32, 16)
    if weight is not None:
        module.weight.data.copy_(weight)
    (layer,) = layers_of(nn.Sequential(module))
    encoding = Encoding.parse(spelling)
    return Carrier(layer, encoding), module.weight.detach(), encoding.linear


@pytest.mark.parametrize("spelling", ["int8", "uint8", "int4-b8", "int8-asym", "int8-tensor", "uint4-asym-b8"])
def test_values_are_off_by_half_a_step_at_most(spelling):
    carrier, weight, linear = made(spelling)
    quantization = Quantization(carrier, weight, linear)
    steps = quantization.steps(weight)
    assert torch.equal(steps, steps.round())
    assert torch.equal(quantization.scale, quantization.scale.half().float())
    error = (quantization.decode(steps) - weight).abs() / quantization.wide_scale
    assert error.max() < 0.5 + 2**-3  # and what fp16 rounds
    assert (steps + quantization.wide_zero).max() <= quantization.high
    assert (steps + quantization.wide_zero).min() >= quantization.low


def test_integers_of_8_bits_are_not_all_below_16():
    """coremltools' converter would store them in 4 bits."""
    carrier, weight, linear = made("uint8", torch.zeros(16, 32).index_fill_(1, torch.tensor([0]), -1.0))
    found = quantize(carrier, weight, linear)
    steps = found.weight / found.buffers["quantization_scale"]
    assert (steps.round() + found.buffers["zero_point"].float()).max() >= 16


def test_metadata_has_zero_points_only_where_the_scheme_does():
    assert "zero_point" not in quantize(*made("int8")).buffers
    assert quantize(*made("int8-asym")).buffers["zero_point"].dtype == torch.int8
    assert quantize(*made("uint4")).buffers["zero_point"].dtype == torch.uint8
