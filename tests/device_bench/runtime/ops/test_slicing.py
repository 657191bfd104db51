"""Slices against coremltools' value inference and NumPy."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device_bench.runtime.support.arrays import FEW, close, floats, seeds, shapes
from tests.device_bench.runtime.support.mil import assert_inferred, inferred, outputs_of


@st.composite
def slices(draw):
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    begin, end, stride, masks = [], [], [], [[], [], []]
    for size in shape:
        step = draw(st.sampled_from([1, 1, 2, -1, -2]))
        first, last = sorted((draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))))
        begin.append(first if step > 0 else last)
        end.append(last + 1 if step > 0 else first - 1 if first else -size - 1)
        if draw(st.booleans()) and begin[-1]:
            begin[-1] -= size
        stride.append(step)
        squeezed = draw(st.integers(0, 4)) == 0 and len(shape) > 1 and not all(masks[2][: len(shape) - 1] or [False])
        masks[2].append(squeezed)
        masks[0].append(draw(st.booleans()))
        masks[1].append(draw(st.booleans()))
    if all(masks[2]):
        masks[2][0] = False
    names = ("begin_mask", "end_mask", "squeeze_mask")
    return shape, {"begin": begin, "end": end, "stride": stride, **dict(zip(names, masks, strict=True))}


@settings(max_examples=25, deadline=None)
@given(slices(), seeds)
def test_slice_by_index(case, seed):
    shape, attributes = case
    assert_inferred("slice_by_index", attributes, x=floats(shape, seed))


@settings(max_examples=25, deadline=None)
@given(slices(), seeds)
def test_slice_update(case, seed):
    shape, attributes = case
    x = floats(shape, seed)
    if any(attributes["squeeze_mask"]):
        attributes["squeeze_mask"] = [False] * len(shape)
    (part,) = inferred("slice_by_index", attributes, x=x)
    assert_inferred("slice_update", attributes, x=x, update=floats(part.shape, seed + 1))


@FEW
@given(shapes, seeds, st.data())
def test_slice_by_size(shape, seed, data):
    begin = [data.draw(st.integers(0, size - 1)) for size in shape]
    size = [data.draw(st.sampled_from([-1, n - b])) for n, b in zip(shape, begin, strict=True)]
    assert_inferred("slice_by_size", {"begin": begin, "size": size}, x=floats(shape, seed))


def test_crop():
    x = floats((1, 2, 5, 6), 0)
    (mine,) = outputs_of("crop", {"crop_height": [1, 0], "crop_width": [2, 3]}, x=x)
    close(mine, x[:, :, 1:, 2:3])
