"""Elementwise kernels against coremltools' value inference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.device_bench.runtime.support.arrays import FEW, floats, integers, seeds, shapes
from tests.device_bench.runtime.support.mil import assert_inferred


@pytest.mark.parametrize("op_type", ["inverse", "log", "rsqrt"])
@FEW
@given(shapes, seeds, st.sampled_from([1e-3, 0.5]))
def test_with_epsilon(op_type, shape, seed, epsilon):
    x = floats(shape, seed, 0.01, 5)
    assert_inferred(op_type, {"epsilon": np.float32(epsilon)}, x=x, rtol=1e-4)
    assert_inferred(op_type, {}, x=x, rtol=1e-4)


ARITHMETIC = ["add", "sub", "mul", "maximum", "minimum"]


COMPARISONS = ["equal", "not_equal", "greater", "greater_equal", "less", "less_equal"]


@st.composite
def broadcast(draw):
    shape = draw(shapes)
    other = tuple(draw(st.sampled_from([1, size])) for size in shape[draw(st.integers(0, len(shape) - 1)) :])
    return (shape, other) if draw(st.booleans()) else (other, shape)


@pytest.mark.parametrize("op_type", [*ARITHMETIC, *COMPARISONS, "floor_div", "mod"])
@FEW
@given(broadcast(), seeds, st.booleans())
def test_binary(op_type, pair, seed, whole):
    make = integers if whole else floats
    x, y = make(pair[0], seed), make(pair[1], seed + 1)
    if op_type in ("floor_div", "mod"):
        y = np.where(np.abs(y) < 0.3, np.ones_like(y), y)
    assert_inferred(op_type, {}, x=x, y=y, atol=1e-5)


@FEW
@given(broadcast(), seeds)
def test_division_and_power(pair, seed):
    x, y = floats(pair[0], seed, 0.1, 3), floats(pair[1], seed + 1, 0.2, 2)
    assert_inferred("real_div", {}, x=x, y=y)
    assert_inferred("pow", {}, x=x, y=y, rtol=1e-4)


@pytest.mark.parametrize("op_type", ["logical_and", "logical_or", "logical_xor"])
@FEW
@given(broadcast(), seeds)
def test_logical(op_type, pair, seed):
    assert_inferred(op_type, {}, x=integers(pair[0], seed) > 0, y=integers(pair[1], seed + 1) > 0)


@FEW
@given(shapes, seeds)
def test_logical_not_and_select(shape, seed):
    condition = integers(shape, seed) > 0
    assert_inferred("logical_not", {}, x=condition)
    assert_inferred("select", {}, cond=condition, a=floats(shape, seed), b=floats(shape, seed + 1))


@pytest.mark.parametrize("dtype", ["int32", "bool", "fp32", "int8", "uint8"])
@FEW
@given(shapes, seeds)
def test_cast(dtype, shape, seed):
    x = np.abs(floats(shape, seed, -90, 90)) if dtype == "uint8" else floats(shape, seed, -90, 90)
    assert_inferred("cast", {"dtype": dtype}, x=x)
    assert_inferred("cast", {"dtype": "fp32"}, x=integers(shape, seed))


UNARY = {
    **dict.fromkeys(["abs", "atan", "ceil", "cos", "cosh", "erf", "exp", "exp2", "floor", "round"], (-3, 3)),
    **dict.fromkeys(["sign", "sin", "sinh", "square", "tan", "tanh"], (-1.5, 1.5)),
    **dict.fromkeys(["acos", "asin", "atanh"], (-0.95, 0.95)),
    "sqrt": (0, 9),
}


@pytest.mark.parametrize("op_type", sorted(UNARY))
@FEW
@given(shapes, seeds)
def test_unary(op_type, shape, seed):
    assert_inferred(op_type, {}, x=floats(shape, seed, *UNARY[op_type]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("op_type", "names"), [("clip", ["alpha", "beta"]), ("threshold", ["alpha"])])
@FEW
@given(shapes, seeds, st.sampled_from([0.125, 0.5, 0.75]), st.sampled_from([1.0, 1.5, 2.0]))
def test_bounds(op_type, names, shape, seed, alpha, beta):
    values = {"alpha": np.float32(alpha), "beta": np.float32(beta)}
    assert_inferred(op_type, {name: values[name] for name in names}, x=floats(shape, seed))
