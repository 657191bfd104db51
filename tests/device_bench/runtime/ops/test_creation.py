"""Tensors made from sizes, ranges and distributions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.device_bench.runtime.support.arrays import FEW, close, floats, integers, seeds, shapes
from tests.device_bench.runtime.support.mil import assert_inferred, outputs_of


@pytest.mark.parametrize("op_type", ["random_uniform", "random_normal", "random_bernoulli"])
def test_random_ops_draw_from_their_distribution(op_type):
    attributes = {
        "random_uniform": {"low": np.float32(2), "high": np.float32(4)},
        "random_normal": {"mean": np.float32(3), "stddev": np.float32(0.5)},
        "random_bernoulli": {"prob": np.float32(0.25)},
    }[op_type]
    (drawn,) = outputs_of(op_type, {**attributes, "seed": 7}, shape=np.array([4000], np.int32))
    mean, deviation = {"random_uniform": (3, 0.577), "random_normal": (3, 0.5), "random_bernoulli": (0.25, 0.433)}[
        op_type
    ]
    assert drawn.mean() == pytest.approx(mean, abs=0.05)
    assert drawn.std() == pytest.approx(deviation, abs=0.05)
    (again,) = outputs_of(op_type, {**attributes, "seed": 7}, shape=np.array([4000], np.int32))
    np.testing.assert_array_equal(drawn, again)


def test_random_categorical():
    logits = np.log(np.array([[0.1, 0.6, 0.3]], np.float32))
    (drawn,) = outputs_of("random_categorical", {"size": 4000, "seed": 1}, x=logits)
    assert drawn.shape == (1, 4000)
    np.testing.assert_allclose(np.bincount(drawn[0].astype(int)) / 4000, [0.1, 0.6, 0.3], atol=0.05)


@FEW
@given(shapes, seeds, st.data())
def test_creation(shape, seed, data):
    ints = integers(shape, seed)
    assert_inferred("fill_like", {"value": np.float32(2.5)}, ref_tensor=ints)
    assert_inferred("shape", {}, x=floats(shape, seed))
    first = data.draw(st.integers(-3, 3))
    bounds = {"start": np.int32(first), "end": np.int32(first + 7), "step": np.int32(data.draw(st.integers(1, 3)))}
    assert_inferred("range_1d", {}, **{name: np.asarray(value) for name, value in bounds.items()})
    assert_inferred("fill", {"value": np.float32(-1.5)}, shape=np.asarray(shape, dtype=np.int32))


def test_one_hot():
    (mine,) = outputs_of(
        "one_hot",
        {"one_hot_vector_size": 4, "axis": 0, "on_value": 2.0, "off_value": 0.0},
        indices=np.array([1, 3], np.int32),
    )
    close(mine, np.array([[0, 0], [2, 0], [0, 0], [0, 2]]))
