"""Estimated seconds follow the size of a layer and the cost of an encoding."""

import pytest

from palettune.evaluators.compression.compression_time import compression_seconds
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind


def seconds(spelling, rows=1024):
    return compression_seconds(Layer("fc", LayerKind.LINEAR, (rows, 1024)), Encoding.parse(spelling))


def test_the_order_of_encodings_is_that_of_the_measured_table():
    measured = {"lut4-v2": 17.7, "lut4-g16": 0.32, "sparse50": 0.26, "lut6": 0.22, "int4-b32": 0.02}
    for spelling, found in measured.items():
        assert seconds(spelling) == pytest.approx(found, rel=1.0), spelling


@pytest.mark.parametrize("spelling", ["lut4", "lut4-g16", "int8", "sparse50", "sparse50+lut4"])
def test_twice_the_weights_take_twice_as_long(spelling):
    assert seconds(spelling, 2048) == pytest.approx(2 * seconds(spelling))
