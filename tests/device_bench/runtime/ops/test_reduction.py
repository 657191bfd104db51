"""Reductions against coremltools' value inference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.device_bench.runtime.support.arrays import FEW, floats, integers, seeds, shapes
from tests.device_bench.runtime.support.mil import assert_inferred

REDUCTIONS = [
    "reduce_sum",
    "reduce_mean",
    "reduce_max",
    "reduce_min",
    "reduce_prod",
    "reduce_l1_norm",
    "reduce_l2_norm",
]


@st.composite
def reductions(draw):
    shape = draw(shapes)
    axes = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    axes = [axis - len(shape) if draw(st.booleans()) else axis for axis in axes]
    attributes = {"keep_dims": draw(st.booleans())}
    if draw(st.booleans()):
        attributes["axes"] = axes
    return shape, attributes


@pytest.mark.parametrize("op_type", [*REDUCTIONS, "reduce_sum_square", "reduce_log_sum", "reduce_log_sum_exp"])
@FEW
@given(reductions(), seeds)
def test_reduction(op_type, case, seed):
    shape, attributes = case
    assert_inferred(op_type, attributes, x=floats(shape, seed, 0.1, 2), rtol=1e-4)


@pytest.mark.parametrize("op_type", ["reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_sum_square"])
@FEW
@given(reductions(), seeds)
def test_reduction_of_integers(op_type, case, seed):
    assert_inferred(op_type, case[1], x=integers(case[0], seed, -3, 4))


@pytest.mark.parametrize("op_type", ["reduce_argmax", "reduce_argmin"])
@FEW
@given(shapes, seeds, st.booleans(), st.data())
def test_arg_reduction(op_type, shape, seed, keep, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    assert_inferred(op_type, {"axis": axis, "keep_dims": keep}, x=floats(shape, seed))
