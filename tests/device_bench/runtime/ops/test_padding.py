"""Padding of windows: coremltools' totals, and where the odd element goes."""

import pytest
from coremltools.converters.mil.mil.ops.defs._utils import aggregated_pad
from hypothesis import given
from hypothesis import strategies as st

from palettune.device_bench.runtime.ops.padding import spatial_padding, torch_padding
from tests.device_bench.runtime.support.arrays import SOME

two = st.tuples(st.integers(1, 3), st.integers(1, 3))


@pytest.mark.parametrize("pad_type", ["valid", "same", "same_lower", "custom"])
@SOME
@given(st.tuples(st.integers(4, 9), st.integers(4, 9)), two, two, two)
def test_totals_are_coremltools(pad_type, sizes, kernel, strides, dilations):
    custom = [1, 2, 0, 1]
    amounts = spatial_padding(pad_type, custom, sizes, kernel, strides, dilations)
    theirs = aggregated_pad(pad_type, kernel, sizes, strides, dilations, custom if pad_type == "custom" else None)
    assert [before + after for before, after in amounts] == list(theirs)


def test_the_odd_element_is_after_or_before():
    assert spatial_padding("same", [], [5], [4], [1]) == [(1, 2)]
    assert spatial_padding("same_lower", [], [5], [4], [1]) == [(2, 1)]


def test_torch_takes_the_last_dimension_first():
    assert torch_padding([(1, 2), (3, 4)]) == [3, 4, 1, 2]
