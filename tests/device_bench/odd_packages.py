"""Packages as others make them, built op by op: every way in which a weight is used, and what is no layer."""

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from tests.device_bench.runtime.support.packages import save

HALF, SINGLE = np.float16, np.float32


def random(seed, *shape, dtype=SINGLE, scale=1.0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(dtype)


def _type(dtype):
    return types.fp16 if dtype is HALF else types.fp32


def everything(path, dtype=SINGLE, target=ct.target.iOS17, compressed=True):
    """All kinds of layers in one program of one input [1, 16, 32], with several outputs; some constants are no layer.

    Layers: linear, conv1d, conv2d (grouped), conv_transpose2d, matmul (three ways), embedding, lstm; `twice` is used by
    two convolutions. No layers: a stack of matrices, a sum's operand, a weight that is compressed already.
    """

    def weight(name, seed, *shape):
        return mb.const(val=random(seed, *shape, dtype=dtype, scale=0.3), name=name)

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 16, 32), dtype=_type(dtype))], opset_version=target)
    def program(x):
        summed = mb.add(x=x, y=weight("shift", 0, 1, 16, 32))
        dense = mb.relu(
            x=mb.linear(x=summed, weight=weight("dense.weight", 1, 32, 32), bias=random(2, 32, dtype=dtype))
        )
        right = mb.matmul(x=dense, y=weight("right", 3, 32, 16), name="right_product")
        turned = mb.matmul(x=dense, y=weight("turned", 4, 16, 32), transpose_y=True)
        both = mb.add(x=right, y=turned, name="both")
        left = mb.matmul(x=weight("left", 5, 32, 16), y=both, name="left_product")
        stacked = mb.matmul(x=left, y=weight("stack", 6, 1, 16, 8), name="stacked")
        twice = weight("twice", 7, 16, 16, 3)
        once = mb.conv(x=summed, weight=twice, pad_type="same", name="once")
        again = mb.conv(x=mb.tanh(x=once), weight=twice, pad_type="same", name="again")
        image = mb.expand_dims(x=again, axes=[2])
        plane = mb.conv(x=image, weight=weight("plane", 8, 32, 4, 1, 3), groups=4, pad_type="same")
        up = mb.conv_transpose(x=plane, weight=weight("up", 9, 32, 16, 1, 2), strides=[1, 2], name="up_scaled")
        picked = mb.reduce_argmax(x=mb.reduce_mean(x=x, axes=[2]), axis=1)
        token = mb.gather(x=weight("table", 10, 32, 16), indices=picked, axis=0, name="token")
        sequence = mb.transpose(x=x, perm=[1, 0, 2])
        start = np.zeros((1, 16), dtype)
        states, _, _ = mb.lstm(
            x=sequence,
            initial_h=start,
            initial_c=start,
            weight_ih=weight("ih", 11, 64, 32),
            weight_hh=weight("hh", 12, 64, 16),
            bias=random(13, 64, dtype=dtype),
            output_sequence=True,
            name="memory",
        )
        packed = weight("packed", 15, 4, 16)
        if compressed:
            indices = np.arange(32, dtype=np.uint8) * 7
            packed = mb.constexpr_lut_to_dense(
                indices=indices, lut=random(14, 16, dtype=dtype), shape=np.uint32([4, 16]), name="packed_already"
            )
        heads = mb.linear(x=token, weight=packed, name="heads")
        return stacked, up, mb.transpose(x=states, perm=[1, 0, 2], name="states"), heads

    return save(program, path, target)


LAYERS = {"dense_weight", "right", "turned", "left", "twice", "plane", "up", "table", "memory.ih", "memory.hh"}
