from __future__ import annotations

import numpy as np
import pytest
from coremltools.converters.mil.mil.ops.defs.iOS18 import compression
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.device_bench.package.constexpr import decode, look_up


@st.composite
def _tables(draw):
    rank = draw(st.integers(1, 4))
    groups = [draw(st.integers(1, 3)) for _ in range(rank)]
    shape = [count * draw(st.integers(1, 3)) for count in groups]
    bits, vector = draw(st.sampled_from([1, 2, 3, 4, 6, 8])), draw(st.sampled_from([1, 1, 2, 4]))
    axis = draw(st.integers(-rank, rank - 1))
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    indices = seed.integers(0, 2**bits, shape).astype(np.uint8)
    return indices, seed.normal(size=[*groups, 2**bits, vector]).astype(np.float16), axis


@given(_tables())
@settings(deadline=None, max_examples=200)
def test_a_table_is_read_as_coremltools_reads_it(case):
    indices, table, axis = case
    expected = compression.constexpr_lut_to_dense.decompress(indices, table, axis)
    assert np.array_equal(look_up(indices, table, axis), expected)


@given(_tables(), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=200)
def test_a_sparse_table_is_read_as_coremltools_reads_it(case, seed):
    indices, table, axis = case
    mask = np.random.default_rng(seed).integers(0, 2, indices.shape).astype(np.uint8)
    inputs = {"indices_mask": mask, "indices_nonzero_data": indices[mask != 0], "lut": table, "vector_axis": axis}
    expected = compression.constexpr_lut_to_sparse.decompress(*inputs.values())
    assert np.array_equal(decode("constexpr_lut_to_sparse", inputs, 0), expected[0])
    assert np.array_equal(decode("constexpr_lut_to_sparse", inputs, 1), expected[1])


def test_an_unknown_op_is_an_error():
    with pytest.raises(ValueError, match="constexpr_of_tomorrow"):
        decode("constexpr_of_tomorrow", {})
