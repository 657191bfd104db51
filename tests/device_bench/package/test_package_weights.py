"""Constants of packages, however coded and by whom: bytes, tables, scales, zeros, and the words for them."""

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from palettune.device_bench.package.package import weights
from palettune.device_bench.package.package_weights import StoredConstant, stored_constant
from tests.device_bench.odd_packages import random
from tests.device_bench.runtime.support.packages import save

HALF = np.float16
SHAPE = (32, 48)
CODES = np.random.default_rng(0).integers(0, 16, SHAPE).astype(np.uint8)
MASK = (np.arange(32 * 48).reshape(SHAPE) % 4 == 0).astype(np.uint8)
UINT4, UINT1 = (types.nptype_from_builtin(t) for t in (types.uint4, types.uint1))


def half(seed, *shape):
    return np.abs(random(seed, *shape, dtype=HALF)) + HALF(0.01)


def scaled(data, *scales):
    return mb.constexpr_blockwise_shift_scale(data=data, scale=half(1, *scales))


def sparse(values):
    return mb.constexpr_sparse_to_dense(nonzero_data=values, mask=MASK.astype(UINT1))


def sparse_table():
    found = mb.constexpr_lut_to_sparse(
        indices_mask=MASK.astype(UINT1), indices_nonzero_data=CODES[MASK > 0].astype(UINT4), lut=half(2, 1, 1, 16, 1)
    )
    return mb.constexpr_sparse_to_dense(nonzero_data=found[1], mask=found[0])


def sparse_integers():
    found = mb.constexpr_sparse_blockwise_shift_scale(
        data_mask=MASK.astype(UINT1), nonzero_data=CODES[MASK > 0].astype(np.int8), scale=half(1, 32, 1)
    )
    return mb.constexpr_sparse_to_dense(nonzero_data=found[1], mask=found[0])


SIZE = 32 * 48
#: How it is made; bytes, table channels, zeros, blocks and linear as a weight whose rows are outputs; in words.
NEW = {
    "plain": (lambda: half(0, *SHAPE), (2 * SIZE, None, 0, False, False), "fp16"),
    "int8": (lambda: scaled(CODES.astype(np.int8), 32, 1), (SIZE + 64, None, 0, False, True), "int8"),
    "int4 of the tensor": (lambda: scaled(CODES.astype(UINT4), 1, 1), (SIZE / 2 + 2, None, 0, False, True), "uint4"),
    "blocks": (lambda: scaled(CODES.astype(UINT4), 32, 3), (SIZE / 2 + 192, None, 0, True, True), "uint4"),
    "rows in blocks": (lambda: scaled(CODES.astype(UINT4), 8, 1), (SIZE / 2 + 16, None, 0, True, True), "uint4"),
    "table": (
        lambda: mb.constexpr_lut_to_dense(indices=CODES.astype(UINT4), lut=half(2, 1, 1, 16, 1)),
        (SIZE / 2 + 32, None, 0, False, False), "lut4",
    ),
    "tables": (
        lambda: mb.constexpr_lut_to_dense(indices=CODES.astype(UINT4), lut=half(2, 8, 1, 16, 1)),
        (SIZE / 2 + 256, 4, 0, False, False), "lut4",
    ),
    "tables of inputs": (
        lambda: mb.constexpr_lut_to_dense(indices=CODES.astype(UINT4), lut=half(2, 1, 3, 16, 1)),
        (SIZE / 2 + 96, None, 0, False, False), "lut4",
    ),
    "table of integers": (
        lambda: mb.constexpr_lut_to_dense(
            indices=CODES.astype(UINT4), lut=scaled(np.arange(32, dtype=np.int8).reshape(2, 1, 16, 1), 2, 1, 1, 1)
        ),
        (SIZE / 2 + 32 + 4, 16, 0, False, False), "lut4",
    ),
    "vectors": (
        lambda: mb.constexpr_lut_to_dense(
            indices=CODES[:, :24].astype(UINT4), lut=half(2, 1, 1, 16, 2), vector_axis=np.int32(1)
        ),
        (SIZE / 4 + 64, None, 0, False, False), "lut4-v2",
    ),
    "sparse": (lambda: sparse(half(3, SIZE // 4)), (SIZE / 2 + SIZE / 8, None, 0.75, False, False), "sparse75"),
    "sparse table": (sparse_table, (SIZE / 8 + SIZE / 8 + 32, None, 0.75, False, False), "sparse75+lut4"),
    "sparse int8": (sparse_integers, (SIZE / 4 + SIZE / 8 + 64, None, 0.75, False, True), "sparse75+int8"),
}  # fmt: skip
OLD = {
    "int8": (
        lambda: mb.constexpr_affine_dequantize(
            quantized_data=CODES.astype(np.int8), zero_point=np.zeros(32, np.int8), scale=half(1, 32), axis=0
        ),
        (SIZE + 32 + 64, None, 0, False, True), "int8",
    ),
    "int8 of inputs": (
        lambda: mb.constexpr_affine_dequantize(
            quantized_data=CODES.astype(np.int8), zero_point=np.int8(0), scale=half(1, 48), axis=1
        ),
        (SIZE + 1 + 96, None, 0, False, True), "int8",
    ),
    "table": (
        lambda: mb.constexpr_lut_to_dense(
            indices=np.arange(SIZE // 2, dtype=np.uint8), lut=half(2, 16), shape=np.uint32(SHAPE)
        ),
        (SIZE / 2 + 32, None, 0, False, False), "lut4",
    ),
    "sparse": (
        lambda: mb.constexpr_sparse_to_dense(
            nonzero_data=half(3, SIZE // 4), mask=np.packbits(MASK.ravel(), bitorder="little"), shape=np.uint32(SHAPE)
        ),
        (SIZE / 2 + SIZE / 8, None, 0.75, False, False), "sparse75",
    ),
    "cast": (
        lambda: mb.cast(x=mb.constexpr_cast(source_val=half(0, *SHAPE), output_dtype="fp32"), dtype="fp16"),
        (2 * SIZE, None, 0, False, False), "fp16",
    ),
}  # fmt: skip


def constant(make, path, target) -> StoredConstant:
    """What a package holds of a matrix."""

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 48), dtype=types.fp16)], opset_version=target)
    def program(x):
        return mb.linear(x=x, weight=make())

    (found,) = [w for w in weights(save(program, path / "p.mlpackage", target)) if len(w.shape) > 1]
    return stored_constant(found)


@pytest.mark.matrix(9)
@pytest.mark.parametrize(
    ("cases", "target", "name"),
    [*((NEW, ct.target.iOS18, name) for name in NEW), *((OLD, ct.target.iOS16, name) for name in OLD)],
)
def test_a_constant_is_recognised_by_its_ops(cases, target, name, tmp_path):
    make, expected, words = cases[name]
    found = constant(make, tmp_path, target)
    weight = found.weight(0)
    assert (weight.bytes, weight.table_channels, weight.zeros, weight.blocks, weight.linear) == expected
    assert weight.elements == SIZE
    assert weight.compressed == (name not in ("plain", "cast"))
    assert weight.coded == (name not in ("plain", "cast", "sparse"))
    assert str(found) == words


def test_axes_change_places_with_their_tables_and_scales(tmp_path):
    found = constant(NEW["tables"][0], tmp_path, ct.target.iOS18)
    assert found.weight(1).table_channels is None
    assert found.transposed().weight(1).table_channels == 4
