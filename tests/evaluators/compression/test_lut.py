"""Tables of one weight, in every form of entries."""

import pytest
import torch
from torch import nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.compression.carrier import Carrier
from palettune.evaluators.compression.errors import CompressionError
from palettune.evaluators.compression.lut import palettize
from palettune.space.encoding import Encoding


def palettized(spelling, importance=None):
    torch.manual_seed(0)
    module = nn.Linear(32, 16)
    (layer,) = layers_of(nn.Sequential(module))
    encoding = Encoding.parse(spelling)
    return module.weight.detach(), palettize(
        Carrier(layer, encoding), module.weight.detach(), encoding.table, importance
    )


@pytest.mark.parametrize(
    ("spelling", "shape"),
    [("lut4", (1, 1, 16, 1)), ("lut2-g8", (2, 1, 4, 1)), ("lut3-g8in", (1, 4, 8, 1)), ("lut4-v2", (1, 1, 16, 2))],
)
def test_every_value_is_an_entry_of_its_table(spelling, shape):
    _, found = palettized(spelling)
    lut = found.buffers["lut"]
    assert lut.shape == shape
    assert torch.equal(lut, lut.half().float())
    assert set(found.weight.flatten().tolist()) <= set(lut.flatten().tolist())


@pytest.mark.parametrize("spelling", ["lut4-int8", "lut4-uint8"])
def test_entries_of_8_bits_are_integers_times_a_scale_in_fp16(spelling):
    _, found = palettized(spelling)
    steps = found.buffers["lut"] / found.buffers["quantization_scale"]
    assert torch.allclose(steps, steps.round(), atol=1e-3)
    assert torch.equal(found.buffers["quantization_scale"], found.buffers["quantization_scale"].half().float())


def test_important_values_err_less():
    importance = torch.full((16, 32), 0.01)
    importance[:4] = 1.0
    weight, plain = palettized("lut2")
    _, weighted = palettized("lut2", importance)
    errors = [(found.weight - weight)[:4].square().mean() for found in (plain, weighted)]
    assert errors[1] < errors[0]


def test_groups_that_do_not_divide_the_channels_are_an_error_with_the_layer():
    with pytest.raises(CompressionError, match=r"layer '0' as lut4-g12-v2: palettization failed: .*16 channels"):
        palettized("lut4-g12-v2")
