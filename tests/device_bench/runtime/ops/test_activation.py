"""Activations against coremltools' value inference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.device_bench.runtime.support.arrays import FEW, floats, seeds, shapes
from tests.device_bench.runtime.support.mil import assert_inferred


@pytest.mark.parametrize("mode", ["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"])
@FEW
@given(shapes, seeds)
def test_gelu(mode, shape, seed):
    assert_inferred("gelu", {"mode": mode}, x=floats(shape, seed), atol=1e-5)


@FEW
@given(st.integers(1, 3), st.integers(2, 4), seeds)
def test_channel_activations(batch, channels, seed):
    x = floats((batch, channels, 3, 2), seed)
    alpha, beta = floats((channels,), seed, 0.1, 1), floats((channels,), seed + 1, 0.1, 1)
    assert_inferred("prelu", {"alpha": alpha}, x=x)
    assert_inferred("softplus_parametric", {"alpha": alpha, "beta": beta}, x=x, atol=1e-5)


@pytest.mark.parametrize("op_type", ["relu", "relu6", "sigmoid", "softplus", "softsign"])
@FEW
@given(shapes, seeds)
def test_without_attributes(op_type, shape, seed):
    assert_inferred(op_type, {}, x=floats(shape, seed, -9, 9), rtol=1e-4, atol=1e-5)


ATTRIBUTES = {
    "clamped_relu": ["alpha", "beta"],
    "elu": ["alpha"],
    "leaky_relu": ["alpha"],
    "linear_activation": ["alpha", "beta"],
    "scaled_tanh": ["alpha", "beta"],
    "sigmoid_hard": ["alpha", "beta"],
    "thresholded_relu": ["alpha"],
}


@pytest.mark.parametrize("op_type", sorted(ATTRIBUTES))
@FEW
@given(shapes, seeds, st.sampled_from([0.125, 0.5, 0.75]), st.sampled_from([1.0, 1.5, 2.0]))
def test_with_attributes(op_type, shape, seed, alpha, beta):
    values = {"alpha": np.float32(alpha), "beta": np.float32(beta)}
    assert_inferred(op_type, {name: values[name] for name in ATTRIBUTES[op_type]}, x=floats(shape, seed))


@FEW
@given(shapes, seeds, st.data())
def test_softmax(shape, seed, data):
    assert_inferred("softmax", {"axis": data.draw(st.integers(-1, len(shape) - 1))}, x=floats(shape, seed))
