"""Products and attention against coremltools' value inference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.device_bench.runtime.support.arrays import FEW, floats, integers, seeds
from tests.device_bench.runtime.support.mil import assert_inferred


@FEW
@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), seeds, st.booleans(), st.booleans())
def test_matmul(batch, seed, transpose_x, transpose_y):
    *lead, inner = batch
    x = floats((*lead, *((inner, 3) if transpose_x else (3, inner))), seed)
    y = floats((*lead[1:], *((2, inner) if transpose_y else (inner, 2))), seed + 1)
    assert_inferred("matmul", {"transpose_x": transpose_x, "transpose_y": transpose_y}, x=x, y=y, atol=1e-4)


@FEW
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), seeds)
def test_linear_and_einsum(rows, inner, outer, seed):
    weight, bias = floats((outer, inner), seed), floats((outer,), seed + 1)
    assert_inferred("linear", {"weight": weight, "bias": bias}, x=floats((rows, inner), seed + 2), atol=1e-5)
    one, two = floats((2, rows, 3, inner), seed), floats((2, inner, 3, outer), seed + 1)
    assert_inferred("einsum", {"equation": "nchw,nwhu->nchu"}, values=[one, two], atol=1e-5)


@pytest.mark.parametrize("masked", [None, "float", "bool"])
@FEW
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), seeds)
def test_attention(masked, heads, queries, keys, seed):
    q, k, v = (floats((1, heads, n, 4), seed + i) for i, n in enumerate((queries, keys, keys)))
    inputs = {"query": q, "key": k, "value": v}
    if masked == "float":
        inputs["attn_mask"] = floats((queries, keys), seed)
    if masked == "bool":
        inputs["attn_mask"] = integers((queries, keys), seed) > 0
        inputs["attn_mask"][:, 0] = True
    assert_inferred("scaled_dot_product_attention", {}, **inputs, atol=1e-5)
