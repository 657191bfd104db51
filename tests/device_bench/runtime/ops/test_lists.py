import numpy as np
import pytest
from coremltools.converters.mil._deployment_compatibility import AvailableTarget
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Function

from palettune.device_bench.runtime.ops.lists import list_gather, list_read
from tests.device_bench.runtime.support.mil import run_function


def run(build, **feed):
    placeholders = {name: mb.placeholder(value.shape, name=name) for name, value in feed.items()}
    with Function(placeholders, opset_version=AvailableTarget.iOS17) as function:
        results = build(**{name: function.inputs[name] for name in feed})
        function.set_outputs(list(results))
    return run_function(function, feed)


def test_what_is_written_is_read():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)

    def build(x):
        empty = mb.make_list(init_length=2, dynamic_length=True, elem_shape=(2, 3), dtype="fp32")
        full = mb.list_write(ls=empty, index=1, value=x)
        longer = mb.list_write(ls=full, index=3, value=mb.mul(x=x, y=2.0))
        return (
            mb.list_read(ls=longer, index=1),
            mb.list_gather(ls=longer, indices=[3, 1]),
            mb.list_length(ls=longer),
            mb.list_length(ls=full),
        )

    one, both, length, before = run(build, x=x)
    np.testing.assert_array_equal(one, x)
    np.testing.assert_array_equal(both, [2 * x, x])
    assert (length, before) == (4, 2)  # the shorter list is as it was


def test_scattered_slices_and_places_without_a_value():
    x = np.arange(4, dtype=np.float32).reshape(2, 2)

    def build(x):
        empty = mb.make_list(init_length=3, dynamic_length=True, elem_shape=(2,), dtype="fp32")
        full = mb.list_scatter(ls=empty, indices=[2, 0], value=x)
        return (mb.list_gather(ls=full, indices=[0, 1, 2]),)

    (values,) = run(build, x=x)
    np.testing.assert_array_equal(values, [x[1], [0, 0], x[0]])


def test_an_empty_list_cannot_be_read():
    with pytest.raises(ValueError, match="before anything was written"):
        list_read([None, None], index=1)
    with pytest.raises(ValueError, match="before anything was written"):
        list_gather([None], indices=[0])
