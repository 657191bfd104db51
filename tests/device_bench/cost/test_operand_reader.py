"""What operands refer to."""

import numpy as np
import pytest
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from palettune.device_bench.cost.op import OpKind
from tests.device_bench.cost.support.programs import (
    HALF,
    built,
)
from tests.device_bench.odd_packages import random


def test_what_an_op_decodes_or_turns_before_its_use_is_a_weight(tmp_path):
    integers = np.random.default_rng(0).integers(-127, 127, (32, 16)).astype(np.int8)

    def body(x):
        weight = mb.dequantize(input=integers, scale=random(3, 32, dtype=HALF), zero_point=None, axis=0)
        table = mb.constexpr_lut_to_dense(
            indices=(integers.astype(np.uint8) % 16).astype(types.nptype_from_builtin(types.uint4)),
            lut=random(4, 4, 1, 16, 1, dtype=HALF),
        )
        left = mb.linear(x=x, weight=weight, name="decoded")
        return left, mb.matmul(x=x, y=mb.transpose(x=table, perm=[1, 0]), name="turned")

    ops = built(tmp_path, body, (1, 8, 16))
    assert [ops[name].kind for name in ("decoded", "turned")] == [OpKind.LINEAR] * 2
    assert [ops[name].macs for name in ("decoded", "turned")] == [8 * 16 * 32] * 2
    assert [ops[name].weight_shape for name in ("decoded", "turned")] == [(32, 16)] * 2
    stored = ops["decoded"].stored
    assert (stored.linear, stored.blocks, stored.compressed) == (True, False, True)
    assert stored.bytes == pytest.approx(32 * 16, abs=80)
    assert ops["turned"].stored.table_channels == 8  # four tables for 32 output channels
    assert ops["turned"].stored.bytes == 32 * 16 / 2 + 4 * 16 * 2
