"""Weights among the operands of an op."""

import numpy as np
from coremltools.converters.mil.mil import Builder as mb

from tests.device_bench.cost.support.programs import (
    HALF,
    built,
)
from tests.device_bench.odd_packages import random


def test_scales_of_output_channels_are_no_blocks_wherever_these_channels_lie(tmp_path):
    def int8(seed, *shape, axis):
        values = np.random.default_rng(seed).integers(-127, 127, shape).astype(np.int8)
        scales = [size if i == axis else 1 for i, size in enumerate(shape)]
        return mb.constexpr_blockwise_shift_scale(data=values, scale=random(seed, *scales, dtype=HALF))

    def body(x):
        up = mb.conv_transpose(x=x, weight=int8(1, 16, 4, 2, 2, axis=1), strides=[2, 2], name="up")
        line = mb.reshape(x=x, shape=[1, 64, 16])
        right = mb.matmul(x=line, y=int8(2, 16, 32, axis=1), name="right")
        wrong = mb.matmul(x=line, y=int8(3, 16, 32, axis=0), name="by_inputs")
        return up, right, wrong

    ops = built(tmp_path, body)
    assert {name: op.stored.blocks for name, op in ops.items()} == {"up": False, "right": False, "by_inputs": True}
    assert ops["up"].weight_shape == (4, 16, 2, 2)
    assert ops["up"].macs == 16 * 4 * 4 * 64
