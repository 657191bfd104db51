"""Sorting, sums along an axis and places of non-zeros, against coremltools' value inference."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.device_bench.runtime.support.arrays import FEW, floats, integers, seeds, shapes
from tests.device_bench.runtime.support.mil import assert_inferred, outputs_of


@FEW
@given(shapes, seeds, st.data())
def test_sorting(shape, seed, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    ascending = data.draw(st.booleans())
    x = floats(shape, seed)
    assert_inferred("argsort", {"axis": axis, "ascending": ascending}, x=x)
    k = data.draw(st.integers(1, shape[axis]))
    assert_inferred("topk", {"k": k, "axis": axis, "ascending": ascending}, x=x)
    assert_inferred("topk", {"k": k, "axis": axis, "ascending": ascending, "return_indices": False}, x=x)
    assert_inferred("topk", {"k": k, "axis": axis, "ascending": ascending}, opset="iOS15", x=x)


@FEW
@given(shapes, seeds, st.data())
def test_cumsum(shape, seed, data):
    axis = data.draw(st.integers(-1, len(shape) - 1))
    x = floats(shape, seed)
    assert_inferred("cumsum", {"axis": axis, "reverse": data.draw(st.booleans())}, x=x, atol=1e-5)
    # coremltools 9.0 cannot infer the exclusive form.
    (exclusive,) = outputs_of("cumsum", {"axis": axis, "exclusive": True}, x=x)
    np.testing.assert_allclose(exclusive, np.cumsum(x, axis) - x, atol=1e-5)


@FEW
@given(shapes, seeds)
def test_non_zero(shape, seed):
    assert_inferred("non_zero", {}, x=integers(shape, seed))
