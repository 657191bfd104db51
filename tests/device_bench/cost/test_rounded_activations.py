"""Activations in 8 bits, followed through a program."""

import numpy as np
from coremltools.converters.mil.mil import Builder as mb

from tests.device_bench.cost.support.programs import (
    HALF,
    built,
    conv,
    decoded,
    rounded,
)
from tests.device_bench.odd_packages import random


def test_pairs_cost_nothing_and_their_8_bits_are_passed_on_by_what_only_moves_values(tmp_path):
    def body(x):
        both = rounded(x)
        first = conv(both, "first")  # two layers share one pair
        second = conv(both, "second")
        moved = mb.max_pool(x=mb.relu(x=rounded(second)), kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid")
        turned = mb.reshape(x=mb.transpose(x=moved, perm=[0, 2, 3, 1]), shape=[1, 16, 16])
        third = mb.linear(x=turned, weight=random(2, 8, 16, dtype=HALF), name="third")
        half = mb.concat(values=[rounded(first), second], axis=1)
        whole = mb.concat(values=[rounded(first), rounded(second, 0.25)], axis=1)
        fourth, fifth = conv(half, "fourth", inputs=32), conv(whole, "fifth", inputs=32)
        integers = mb.quantize(input=first, scale=HALF(0.5), zero_point=np.int8(0), output_dtype="int8")
        sixth = conv(decoded(mb.reshape(x=integers, shape=[1, 16, 4, 16]), 0.5), "sixth")
        return third, fourth, fifth, sixth

    ops = built(tmp_path, body)
    weighted = {name: op.int8 for name, op in ops.items() if op.weight_shape}
    assert weighted == {
        "first": True, "second": True, "third": True, "fourth": False, "fifth": True, "sixth": True,
    }  # fmt: skip
    kinds = sorted(op.kind.value for name, op in ops.items() if name not in weighted)
    assert kinds == ["move", "move", "pool"]  # the pairs are free, and a relu behind a layer is fused past its pair
