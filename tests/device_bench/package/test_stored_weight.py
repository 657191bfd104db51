import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palettune.device_bench.package.stored_weight import StoredWeight
from palettune.space.encoding import Encoding
from palettune.space.footprint import blobs, layer_bytes
from palettune.space.layer import Layer, LayerKind
from palettune.space.target import DeploymentTarget

SHAPE = (64, 128)
LAYER = Layer("l", LayerKind.LINEAR, SHAPE)


@pytest.mark.parametrize(
    "spelling",
    ["fp16", "lut8", "lut4", "lut2", "lut4-g16", "lut6-g8", "lut4-v2", "lut4-int8", "int8", "int8-tensor", "int4",
     "int4-b32", "sparse50", "sparse75", "sparse50+lut4"],
)  # fmt: skip
def test_bytes_are_the_footprint_without_headers_and_padding(spelling):
    encoding = Encoding.parse(spelling)
    exact = layer_bytes(LAYER, encoding, DeploymentTarget.IOS18)
    stored = StoredWeight.of(encoding, SHAPE)
    assert stored.elements == math.prod(SHAPE)
    assert exact - 600 <= stored.bytes <= exact  # headers and padding of at most six entries


@given(st.sampled_from([1, 2, 4, 8, 16]), st.sampled_from([2, 4, 6, 8]))
def test_tables_of_output_channels_say_how_many_channels_share_one(group, bits):
    assert StoredWeight.of(Encoding.parse(f"lut{bits}-g{group}"), SHAPE).table_channels == group


def test_what_matters_for_placement_is_told():
    assert StoredWeight.of(Encoding.parse("int4-b32"), SHAPE).blocks
    assert not StoredWeight.of(Encoding.parse("int4"), SHAPE).blocks
    assert StoredWeight.of(Encoding.parse("int8"), SHAPE).linear
    assert StoredWeight.of(Encoding.parse("sparse75"), SHAPE).zeros == pytest.approx(0.75)
    assert StoredWeight.of(Encoding.parse("lut4"), SHAPE).table_channels is None
    assert not StoredWeight.of(Encoding(), SHAPE).compressed
    assert StoredWeight.of(Encoding.parse("lut4"), SHAPE).expanded() == StoredWeight.fp16(math.prod(SHAPE))


@pytest.mark.parametrize(
    ("spelling", "channels"), [("lut4-scaled", 1), ("lut4-g16-scaled", 1), ("sparse50+lut4-scaled", None)]
)
def test_scales_make_a_table_of_each_channel_but_for_sparse_weights(spelling, channels):
    assert StoredWeight.of(Encoding.parse(spelling), SHAPE).table_channels == channels


@pytest.mark.parametrize("target", [DeploymentTarget.IOS17, DeploymentTarget.IOS18])
@pytest.mark.parametrize("float_bits", [16, 32])
@pytest.mark.parametrize("spelling", ["lut4", "lut6", "int8", "uint8-asym", "sparse75", "sparse2:4"])
def test_bytes_are_those_of_the_target_and_of_the_programs_floats(spelling, float_bits, target):
    layer = Layer("l", LayerKind.LINEAR, SHAPE, float_bits=float_bits)
    exact = sum(blob.data_bytes for blob in blobs(layer, Encoding.parse(spelling), target))
    assert StoredWeight.of(Encoding.parse(spelling), SHAPE, target, float_bits).bytes == exact


@pytest.mark.parametrize(
    ("spelling", "coded"), [("fp16", False), ("sparse75", False), ("lut4", True), ("sparse50+int8", True)]
)
def test_integers_and_tables_are_told_from_floats(spelling, coded):
    assert StoredWeight.of(Encoding.parse(spelling), SHAPE).coded is coded
