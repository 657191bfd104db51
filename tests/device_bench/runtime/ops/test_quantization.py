"""Quantization and its inverse against coremltools' value inference and NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.device_bench.runtime.support.arrays import FEW, close, floats, seeds
from tests.device_bench.runtime.support.mil import assert_inferred, outputs_of


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@FEW
@given(st.lists(st.integers(2, 4), min_size=2, max_size=4), seeds, st.booleans(), st.data())
def test_quantize(dtype, shape, seed, by_axis, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    size = (shape[axis],) if by_axis else ()
    scale = floats(size, seed, 0.01, 0.1)
    zero = np.random.default_rng(seed).integers(0, 50, size).astype(dtype)
    attributes = {"scale": scale, "zero_point": zero, "output_dtype": dtype}
    if by_axis:
        attributes["axis"] = axis
    assert_inferred("quantize", attributes, input=floats(shape, seed, -9, 9))


def test_quantized_values_come_back():
    x = floats((2, 3, 4), 0, -1, 1)
    scale, zero = np.array([0.01, 0.02, 0.03], np.float32), np.array([3, -4, 0], np.int8)
    parameters = {"scale": scale, "zero_point": zero, "axis": 1}
    (levels,) = outputs_of("quantize", {**parameters, "output_dtype": "int8"}, input=x)
    assert levels.dtype == np.int8
    (back,) = outputs_of("dequantize", parameters, input=levels)
    inside = np.clip(np.round(x / scale[:, None]) + zero[:, None], -128, 127) - zero[:, None]
    close(back, inside * scale[:, None])
