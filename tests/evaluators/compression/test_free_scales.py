"""Scales that a normalization takes back: stored values stay those of the encoding, and the error never grows."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.evaluators.compression.compression import compress
from palettune.evaluators.compression.free_scales import compress_with_free_scales, free_scales_version
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind, Normalization

NORM = Normalization("norm.weight", "norm.running_mean")
#: Layers of several layouts, with their output axis.
LAYERS = (
    Layer("conv", LayerKind.CONV2D, (16, 8, 3, 3), normalization=NORM),
    Layer("depthwise", LayerKind.CONV2D, (16, 1, 3, 3), groups=16, normalization=NORM),
    Layer("transposed", LayerKind.CONV_TRANSPOSE2D, (8, 16, 2, 2), normalization=NORM),
    Layer("linear", LayerKind.LINEAR, (16, 32), normalization=NORM),
)
ENCODINGS = ("lut4", "lut3", "lut2", "lut4-g8", "lut4-int8", "uint4-tensor", "int8-tensor", "sparse50", "sparse50+lut4")


def along(values, layer):
    shape = [1] * len(layer.shape)
    shape[layer.output_axis] = -1
    return values.reshape(shape)


def error(compressed, weight):
    return float((compressed.effective - weight).double().square().sum())


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
@pytest.mark.parametrize("spelling", ENCODINGS)
@given(seed=st.integers(0, 2**31), spread=st.floats(0, 2))
@settings(max_examples=4)
def test_the_error_after_the_normalization_never_grows(layer, spelling, seed, spread):
    encoding = Encoding.parse(spelling)
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    weight = draw(*layer.shape) * along((spread * draw(layer.output_channels)).exp(), layer)
    plain = compress(weight, layer, encoding)
    found = compress_with_free_scales(weight, layer, encoding)
    assert error(found, weight) <= error(plain, weight)
    assert found.weight.shape == plain.weight.shape
    assert set(found.buffers) == set(plain.buffers)
    assert {key: value.shape for key, value in found.buffers.items()} == {k: v.shape for k, v in plain.buffers.items()}
    if found.scale is None:
        assert torch.equal(found.weight, plain.weight)
    else:
        assert (found.scale > 0).all()
        assert 0.25 < float(found.scale.median()) < 4  # outputs stay as large as they were
        assert found.scale.shape == along(torch.ones(layer.output_channels), layer).shape


def test_small_channels_share_a_table_with_large_ones():
    torch.manual_seed(0)
    layer, encoding = LAYERS[0], Encoding.parse("lut4")
    alike = torch.randn(layer.shape)
    sizes = along(2.0 ** torch.linspace(-6, 6, 16), layer)
    found, plain = (way(alike * sizes, layer, encoding) for way in (compress_with_free_scales, compress))
    assert len(found.weight.unique()) <= 16
    worst = [float((c.effective / sizes - alike).square().mean((1, 2, 3)).sqrt().max()) for c in (found, plain)]
    assert worst[0] < 0.5 < 0.9 < worst[1]  # of each channel's own size
    assert error(found, alike * sizes) < 0.7 * error(plain, alike * sizes)


@pytest.mark.parametrize("spelling", ["fp16", "int8", "int4-b32", "lut4-scaled", "sparse2:4"])
def test_what_scales_cannot_gain_is_compressed_as_ever(spelling):
    encoding = Encoding.parse(spelling)
    assert free_scales_version(encoding) == 0
    layer, weight = LAYERS[3], torch.randn(16, 32)
    found = compress_with_free_scales(weight, layer, encoding)
    plain = compress(weight, layer, encoding)
    assert found.scale is None
    assert torch.equal(found.weight, plain.weight)


@pytest.mark.parametrize("dead", [[3], list(range(13)), list(range(15))])
def test_dead_channels_leave_everything_finite_and_stay_zero_or_small(dead):
    layer = LAYERS[0]
    weight = torch.randn(layer.shape)
    weight[dead] = 0
    for spelling in ("lut4", "sparse50+lut4", "uint4-tensor"):
        found = compress_with_free_scales(weight, layer, Encoding.parse(spelling))
        assert torch.isfinite(found.effective).all()
        assert float(found.effective[dead].abs().max()) < 0.1
        scale = torch.ones(1) if found.scale is None else found.scale
        assert float(scale.max() / scale.min()) <= 2**16


def test_the_weight_without_a_normalization_is_compressed_as_ever():
    layer, encoding = replace(LAYERS[0], normalization=None), Encoding.parse("lut4")
    weight = torch.randn(layer.shape)
    found = compress_with_free_scales(weight, layer, encoding)
    assert torch.equal(found.weight, compress(weight, layer, encoding).weight)
    assert found.scale is None
