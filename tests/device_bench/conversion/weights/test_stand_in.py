from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from palettune.device_bench.conversion.weights.stand_in import MOST, StandIn, found_in, of_table
from palettune.device_bench.package.package import PackageWeight, StoredPart

_SHAPES = st.lists(st.integers(1, 6), min_size=2, max_size=5).map(tuple)


def _constant(value) -> PackageWeight:
    return PackageWeight("c", "main", "const", {"val": StoredPart(value.astype(np.float16), "fp16")})


def test_all_stand_ins_differ_in_fp16():
    sizes = np.array([StandIn("a", (1, 1), number).size for number in range(MOST)], np.float16)
    assert len(set(sizes.tolist())) == MOST
    assert np.isfinite(sizes).all()


@given(_SHAPES, st.integers(0, MOST - 2))
def test_a_stand_in_is_found_and_no_other(shape, number):
    stand_in, other = StandIn("a", shape, number), StandIn("b", shape, number + 1)
    value = stand_in.parameter().detach().numpy()
    assert value.shape == shape
    assert found_in(_constant(value), {stand_in.size: stand_in, other.size: other}) is stand_in
    assert found_in(_constant(value), {other.size: other}) is None
    if value.size > shape[0]:
        value = value.copy()
        value.flat[-1] *= 1.5
        assert found_in(_constant(value), {stand_in.size: stand_in}) is None


@given(_SHAPES, st.integers(0, MOST - 2))
def test_a_table_is_told_from_all_others(shape, number):
    stand_in, other = StandIn("a", shape, number), StandIn("b", shape, number + 1)
    by_size = {stand_in.size: stand_in, other.size: other}
    assert of_table(stand_in.table.astype(np.float16), by_size) is stand_in
    assert of_table(other.table.reshape(1, 1, 2, 1), by_size) is other
    assert of_table(stand_in.table * 1.5, {stand_in.size: stand_in}) is None
    assert of_table(None, by_size) is None


def test_a_stand_in_takes_no_memory():
    parameter = StandIn("a", (1000, 1000, 3, 3), 0).parameter()
    assert parameter.untyped_storage().nbytes() == 4 * 1000
    assert torch.equal(parameter[0], -parameter[1])


def test_what_is_computed_is_no_stand_in():
    assert found_in("output 0 of op 1", {}) is None
