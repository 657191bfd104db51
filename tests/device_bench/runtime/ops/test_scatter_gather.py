"""Reading and writing by index, against coremltools' value inference and NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.device_bench.runtime.support.arrays import FEW, SOME, close, floats, integers, seeds, shapes
from tests.device_bench.runtime.support.mil import assert_inferred, outputs_of


@FEW
@given(shapes, seeds, st.data())
def test_gather(shape, seed, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    index_shape = data.draw(st.sampled_from([(3,), (2, 2), (1,)]))
    x = floats(shape, seed)
    positive = integers(index_shape, seed, 0, shape[axis])
    assert_inferred("gather", {"axis": axis}, x=x, indices=positive)
    either = integers(index_shape, seed, -shape[axis], shape[axis])
    assert_inferred("gather", {"axis": axis}, opset="iOS16", x=x, indices=either)
    assert_inferred("gather", {"axis": axis}, opset="iOS15", x=x, indices=either)
    along = list(shape)
    along[axis] = 5
    indices = integers(along, seed, 0, shape[axis])
    assert_inferred("gather_along_axis", {"axis": axis}, x=x, indices=indices)


@FEW
@given(st.lists(st.integers(2, 4), min_size=3, max_size=4), seeds, st.integers(1, 2))
def test_gather_with_batch_dimensions(shape, seed, batch):
    indices = integers((*shape[:batch], 3), seed, 0, shape[batch])
    assert_inferred("gather", {"axis": batch, "batch_dims": batch}, x=floats(shape, seed), indices=indices)


def test_gather_nd():
    x, indices = floats((2, 3, 4), 0), np.array([[1, 2], [0, 1]], np.int32)
    (mine,) = outputs_of("gather_nd", {}, x=x, indices=indices)
    close(mine, x[[1, 0], [2, 1]])
    (mine,) = outputs_of(
        "gather_nd", {"batch_dims": 1}, x=x, indices=np.array([[[2, 3], [0, 0]], [[1, 1], [2, 0]]], np.int32)
    )
    close(mine, np.array([[x[0, 2, 3], x[0, 0, 0]], [x[1, 1, 1], x[1, 2, 0]]]))


@pytest.mark.parametrize("mode", ["update", "add", "sub", "mul", "div", "max", "min"])
@SOME
@given(st.integers(0, 2), seeds)
def test_scatter(mode, axis, seed):
    shape = [3, 4, 5]
    data, indices = floats(shape, seed, 0.5, 2), np.array([2, 0], np.int32)
    shape[axis] = 2
    updates = floats(shape, seed + 1, 0.5, 2)
    (mine,) = outputs_of("scatter", {"axis": axis, "mode": mode}, data=data, indices=indices, updates=updates)
    operation = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "max": np.maximum}
    operation |= {"min": np.minimum, "update": lambda old, new: new}
    expected = np.moveaxis(data.copy(), axis, 0)
    for place, index in enumerate(indices):
        expected[index] = operation[mode](expected[index], np.moveaxis(updates, axis, 0)[place])
    close(mine, np.moveaxis(expected, 0, axis))


@pytest.mark.parametrize("mode", ["update", "add"])
def test_scatter_along_axis_and_nd(mode):
    data, indices = floats((3, 4), 0), np.array([[2, 0, 1, 2]], np.int32)
    updates = floats((1, 4), 1)
    (mine,) = outputs_of("scatter_along_axis", {"axis": 0, "mode": mode}, data=data, indices=indices, updates=updates)
    expected = data.copy()
    for column in range(4):
        old = expected[indices[0, column], column] if mode == "add" else 0
        expected[indices[0, column], column] = old + updates[0, column]
    close(mine, expected)
    vectors, rows = np.array([[1, 2], [0, 0]], np.int32), floats((2, 5), 2)
    data = floats((2, 3, 5), 3)
    (mine,) = outputs_of("scatter_nd", {"mode": mode}, data=data, indices=vectors, updates=rows)
    expected = data.copy()
    for vector, row in zip(vectors, rows, strict=True):
        expected[tuple(vector)] = row + (expected[tuple(vector)] if mode == "add" else 0)
    close(mine, expected)
