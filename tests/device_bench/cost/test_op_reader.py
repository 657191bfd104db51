"""From nodes to ops that take time."""

import numpy as np
from coremltools.converters.mil.mil import Builder as mb

from palettune.device_bench.cost.op import OpKind
from tests.device_bench.cost.support.programs import (
    HALF,
    built,
    rounded,
)
from tests.device_bench.odd_packages import random


def test_a_pair_before_what_is_no_layer_costs_nothing(tmp_path):
    def body(x):
        return mb.softmax(x=mb.add(x=rounded(x), y=mb.tanh(x=x), name="sum"), axis=-1, name="softmax"), mb.mul(
            x=rounded(x), y=rounded(x, 0.5), name="product"
        )

    ops = built(tmp_path, body)
    assert {name: op.int8 for name, op in ops.items() if name != "tanh_0"} == {
        "sum": False, "softmax": False, "product": True,
    }  # fmt: skip
    assert not any("quantize" in name for name in ops)


def test_a_recurrent_op_uses_all_of_its_weights_at_each_step(tmp_path):
    start = np.zeros((1, 8), HALF)

    def body(x):
        return mb.lstm(
            x=x, initial_h=start, initial_c=start, weight_ih=random(1, 32, 16, dtype=HALF), name="memory",
            weight_hh=random(2, 32, 8, dtype=HALF), bias=random(3, 32, dtype=HALF), output_sequence=True,
        )  # fmt: skip

    ops = [op for op in built(tmp_path, body, (5, 1, 16)).values() if op.kind is OpKind.RECURRENT]
    assert [op.macs for op in ops] == [5 * 32 * 16, 5 * 32 * 8]
    assert [op.read_bytes > 0 for op in ops] == [True, False]
