"""Codes: which elements of which tensor a constant holds, however a converter has moved them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.device_bench.conversion.weights.weight_codes import CodeError, WeightCodes, whole_view
from palettune.device_bench.model.layer_weight import elements_of

SHAPES = st.lists(st.integers(1, 5), min_size=2, max_size=4).map(tuple)


@st.composite
def moved(draw):
    """Two tensors, and one of them as a converter may hold it."""
    shapes = draw(st.tuples(SHAPES, SHAPES))
    tensors = {name: torch.rand(shape) for name, shape in zip("ab", shapes, strict=True)}
    codes = WeightCodes(tensors)
    name = draw(st.sampled_from("ab"))
    value = codes.parameter(name).numpy()
    for step in draw(st.lists(st.sampled_from(["turn", "cut", "reorder", "flatten", "every"]), max_size=3)):
        axis = draw(st.integers(0, value.ndim - 1))
        size = value.shape[axis]
        if step == "turn":
            value = value.transpose(draw(st.permutations(range(value.ndim))))
        elif step == "cut":
            first = draw(st.integers(0, size - 1))
            value = value.take(range(first, draw(st.integers(first + 1, size))), axis)
        elif step == "reorder":
            value = value.take(draw(st.permutations(range(size))), axis)
        elif step == "every" and size > 1:
            value = value.take(range(0, size, 2), axis)
        elif step == "flatten" and value.ndim > 2:
            value = value.reshape(-1, *value.shape[2:])
    return tensors, codes, name, value


@settings(deadline=None)
@given(moved())
def test_elements_are_found_however_they_were_moved(case):
    tensors, codes, name, value = case
    part = codes.part(value)
    if part is None:  # one number, or rows that were merged in an order that is no sum of positions
        assert value.size == 1 or value.ndim < tensors[name].ndim
        return
    assert part.tensor == name
    assert part.shape == value.shape
    held = tensors[name].numpy().reshape(-1)
    positions = value.view(np.int32) if value.flags.c_contiguous else np.ascontiguousarray(value).view(np.int32)
    first = int(codes.parameter(name).numpy().flat[0:1].view(np.int32)[0])
    expected = held[positions.reshape(value.shape) - first]
    assert np.array_equal(elements_of(tensors[name], part.view, part.shape).numpy(), expected)


@given(SHAPES)
def test_a_whole_tensor_needs_no_view(shape):
    codes = WeightCodes({"before": torch.rand(3, 2), "it": torch.rand(shape)})
    part = codes.part(codes.parameter("it").numpy())
    assert part is not None
    assert part.view is None
    assert len(whole_view(shape).axes) == len(shape)


def test_what_was_computed_or_repeated_is_no_part():
    codes = WeightCodes({"a": torch.rand(4, 6), "b": torch.rand(4, 6)})
    a, b = (codes.parameter(name).numpy() for name in "ab")
    swapped = a.copy()
    swapped[1, 2], swapped[3, 1] = a[3, 1], a[1, 2]
    mixed = np.concatenate([a, b])
    for value in (a * 2, a + b, swapped, np.repeat(a[:1], 3, 0), a[0, 0], a[:1, :1], a.astype(np.float16), "a", None):
        assert codes.part(value) is None
    assert codes.part(mixed) is None
    assert codes.holder(a[2:]) == "a"
    assert codes.holder(np.ones(3, np.float32)) is None


def test_codes_are_finite_and_differ():
    codes = WeightCodes({"a": torch.rand(100, 50), "b": torch.rand(7, 3)})
    values = torch.cat([codes.parameter(name).reshape(-1) for name in "ab"])
    assert torch.isfinite(values).all()
    assert values.unique().numel() == values.numel()


def test_more_elements_than_codes_are_refused():
    with pytest.raises(CodeError, match=r"2\.00e\+09 elements, and at most 1\.15e\+09"):
        WeightCodes({"large": torch.empty(2 * 10**9, device="meta").reshape(2, -1)})
