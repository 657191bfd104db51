"""Tables and scales fitted in turns: every turn lessens the error, in every layout and group."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.evaluators.compression.carrier import Carrier
from palettune.evaluators.compression.scaled_tables import ScaledTables, within_reach
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind

CASES = [
    (Layer("linear", LayerKind.LINEAR, (16, 24)), "lut4", (1, 1, 16, 1)),
    (Layer("conv", LayerKind.CONV2D, (16, 8, 3, 3)), "lut3-g8", (2, 1, 1, 1, 8, 1)),
    (Layer("conv", LayerKind.CONV2D, (16, 8, 3, 3)), "lut2-g4in", (1, 2, 1, 1, 4, 1)),
    (Layer("transposed", LayerKind.CONV_TRANSPOSE2D, (8, 16, 2, 2)), "lut2-g8", (1, 2, 1, 1, 4, 1)),
]


@pytest.mark.parametrize(("layer", "spelling", "shape"), CASES)
@given(seed=st.integers(0, 2**31))
@settings(max_examples=5)
def test_every_turn_lessens_the_error(layer, spelling, shape, seed):
    torch.manual_seed(seed)
    encoding = Encoding.parse(spelling)
    ones = [1] * len(layer.shape)
    ones[layer.output_axis] = -1
    weight = torch.randn(layer.shape) * torch.randn(16).exp().reshape(ones)
    others = [axis for axis in range(len(layer.shape)) if axis != layer.output_axis]
    size = weight.square().mean(others, keepdim=True).sqrt()
    tables = ScaledTables(Carrier(layer, encoding), weight, encoding.table, size)
    errors = []
    for _ in range(6):
        errors.append(float((tables.stored * tables.scale - weight).square().sum()))
        tables.turn()
    assert all(after <= before * (1 + 1e-5) for before, after in itertools.pairwise(errors))
    stored, lut = tables.rounded()
    assert tuple(lut.shape) == shape
    assert torch.equal(lut, lut.half().float())
    assert set(stored.unique().tolist()) <= set(lut.unique().tolist())


def test_few_values_are_stored_exactly():
    layer, encoding = CASES[0][0], Encoding.parse("lut4")
    weight = torch.tensor([-2.0, 0.5, 1.0]).repeat(128).reshape(16, 24)
    tables = ScaledTables(Carrier(layer, encoding), weight, encoding.table, torch.ones(16, 1))
    tables.turn()
    stored, _ = tables.rounded()
    torch.testing.assert_close(stored * tables.scale, weight, rtol=1e-3, atol=1e-3)


def test_scales_stay_within_reach_of_their_median():
    scale = within_reach(torch.tensor([0.0, 1e-9, 1.0, 1.0, 1.0, 1e9]))
    assert scale.tolist() == [2.0**-8, 2.0**-8, 1, 1, 1, 2.0**8]
    assert within_reach(torch.tensor([0.0, 0.0, 0.0, 2.0])).tolist() == [2.0**-7, 2.0**-7, 2.0**-7, 2]
    assert within_reach(torch.zeros(2)).tolist() == [2.0**-8, 2.0**-8]
