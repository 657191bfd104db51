"""Convolutions against their definition and torch's layers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.device_bench.runtime.support.arrays import SOME, close, floats, same_pads, seeds
from tests.device_bench.runtime.support.mil import outputs_of


def naive_conv(x, weight, strides, dilations, groups, pads):
    """Convolution in two dimensions by its definition."""
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    out_channels, per_group, *kernel = weight.shape
    sizes = [(x.shape[2 + i] - (kernel[i] - 1) * dilations[i] - 1) // strides[i] + 1 for i in range(2)]
    result = np.zeros((x.shape[0], out_channels, *sizes))
    for channel in range(out_channels):
        first = channel // (out_channels // groups) * per_group
        for row in range(sizes[0]):
            for column in range(sizes[1]):
                top, left = row * strides[0], column * strides[1]
                window = x[
                    :,
                    first : first + per_group,
                    top : top + (kernel[0] - 1) * dilations[0] + 1 : dilations[0],
                    left : left + (kernel[1] - 1) * dilations[1] + 1 : dilations[1],
                ]
                result[:, channel, row, column] = (window * weight[channel]).sum((1, 2, 3))
    return result


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(["valid", "same", "same_lower", "custom"]),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 2), st.integers(1, 3)),
    st.integers(1, 2),
    st.sampled_from([1, 2, 4]),
    seeds,
)
def test_conv(pad_type, kernel, strides, dilation, groups, seed):
    x, weight = floats((2, 4, 9, 8), seed), floats((4, 4 // groups, *kernel), seed + 1)
    dilations = [dilation, 1]
    pads = {"valid": [(0, 0)] * 2, "custom": [(1, 2), (0, 1)]}.get(pad_type)
    pads = pads or same_pads((9, 8), kernel, strides, dilations, pad_type == "same_lower")
    attributes = {"weight": weight, "strides": strides, "dilations": dilations, "groups": groups, "pad_type": pad_type}
    if pad_type == "custom":
        attributes["pad"] = [1, 2, 0, 1]
    (mine,) = outputs_of("conv", attributes, x=x)
    close(mine, naive_conv(x, weight, strides, dilations, groups, pads))


@pytest.mark.parametrize("rank", [1, 3])
def test_conv_in_other_dimensions(rank):
    x, weight, bias = floats((1, 2, *[6] * rank), 0), floats((3, 2, *[3] * rank), 1), floats((3,), 2)
    attributes = {"weight": weight, "bias": bias, "pad_type": "custom", "pad": [1, 1] * rank}
    (mine,) = outputs_of("conv", attributes, x=x)
    layer = {1: F.conv1d, 3: F.conv3d}[rank]
    close(mine, layer(*map(torch.tensor, (x, weight, bias)), padding=1))


@SOME
@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 1), st.integers(1, 2), seeds)
def test_conv_transpose(stride, kernel, pad, groups, seed):
    pad = min(pad, kernel - 1)
    x, weight, bias = floats((1, 4, 5, 4), seed), floats((4, 3, kernel, kernel), seed + 1), floats((3 * groups,), 2)
    attributes = {"weight": weight, "bias": bias, "strides": [stride] * 2, "groups": groups}
    torch_output = F.conv_transpose2d(*map(torch.tensor, (x, weight, bias)), stride, pad, groups=groups)
    if min(torch_output.shape) < 1:
        return
    (mine,) = outputs_of("conv_transpose", {**attributes, "pad_type": "custom", "pad": [pad] * 4}, x=x)
    close(mine, torch_output)


@pytest.mark.parametrize(("stride", "kernel"), [(2, 3), (2, 4), (3, 3), (2, 2), (1, 3)])
def test_conv_transpose_same_is_the_adjoint_of_conv_same(stride, kernel):
    small, big = floats((1, 2, 4, 4), 0), floats((1, 3, 4 * stride, 4 * stride), 1)
    weight = floats((2, 3, kernel, kernel), 2)
    settings_ = {"strides": [stride] * 2, "pad_type": "same", "weight": weight}
    (up,) = outputs_of("conv_transpose", settings_, x=small)
    (down,) = outputs_of("conv", settings_, x=big)
    assert up.shape == big.shape
    assert np.isclose((up * big).sum(), (small * down).sum(), rtol=1e-3)
