"""Kernels of ops that coremltools does not infer, against torch's layers, NumPy, or figures in coremltools' tests."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from tests.device_bench.runtime.mil import outputs_of

FEW = settings(max_examples=8, deadline=None)
seeds = st.integers(0, 2**16)


def floats(shape, seed, low=-2.0, high=2.0):
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def close(mine, expected, atol=1e-5, rtol=1e-4):
    expected = expected.detach().numpy() if isinstance(expected, torch.Tensor) else expected
    assert mine.shape == expected.shape
    np.testing.assert_allclose(mine, expected, atol=atol, rtol=rtol)


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


def same_pads(sizes, kernel, strides, dilations, lower):
    pads = []
    for size, width, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        out = int(np.ceil(size / stride))
        total = max(0, (out - 1) * stride + (width - 1) * dilation + 1 - size)
        less, more = total // 2, total - total // 2
        pads.append((more, less) if lower else (less, more))
    return pads


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


@FEW
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


@FEW
@given(
    st.sampled_from([1, 2, 3]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 1),
    st.booleans(),
    st.booleans(),
    seeds,
)
def test_pooling(rank, kernel, stride, pad, ceil_mode, exclude, seed):
    pad, ceil_mode = min(pad, kernel // 2), ceil_mode and rank < 3
    x = floats((1, 2, *[7] * rank), seed)
    shared = {"kernel_sizes": [kernel] * rank, "strides": [stride] * rank, "pad": [pad] * 2 * rank}
    shared |= {"pad_type": "custom", "ceil_mode": ceil_mode}
    (largest,) = outputs_of("max_pool", shared, x=x)
    (mean,) = outputs_of("avg_pool", {**shared, "exclude_padding_from_average": exclude}, x=x)
    max_layer = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[rank]
    avg_layer = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[rank]
    close(largest, max_layer(torch.tensor(x), kernel, stride, pad, ceil_mode=ceil_mode))
    close(mean, avg_layer(torch.tensor(x), kernel, stride, pad, ceil_mode, not exclude))


@pytest.mark.parametrize("pad_type", ["same", "same_lower", "custom"])
@pytest.mark.parametrize("exclude", [True, False])
def test_pooling_with_uneven_padding(pad_type, exclude):
    x = floats((1, 1, 6, 5), 0, 0.5, 2)
    kernel, strides = [2, 3], [1, 2]
    pads = same_pads((6, 5), kernel, strides, [1, 1], pad_type == "same_lower")
    shared = {"kernel_sizes": kernel, "strides": strides, "pad_type": pad_type}
    if pad_type == "custom":
        pads = [(0, 1), (2, 1)]
        shared["pad"] = [0, 1, 2, 1]
    padded = np.pad(x, [(0, 0), (0, 0), *pads], constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, (2, 3))[:, :, :: strides[0], :: strides[1]]
    (largest,) = outputs_of("max_pool", shared, x=x)
    close(largest, np.nanmax(windows, (-2, -1)))
    (mean,) = outputs_of("avg_pool", {**shared, "exclude_padding_from_average": exclude}, x=x)
    close(mean, np.nanmean(windows, (-2, -1)) if exclude else np.nansum(windows, (-2, -1)) / 6)
    (length,) = outputs_of("l2_pool", shared, x=x)
    close(length, np.sqrt(np.nansum(windows**2, (-2, -1))))


@FEW
@given(st.integers(3, 5), seeds)
def test_batch_and_instance_norm(rank, seed):
    x = floats((2, 3, *[4] * (rank - 2)), seed)
    mean, variance, gamma, beta = (floats((3,), seed + i, 0.1, 2) for i in range(4))
    attributes = {"mean": mean, "variance": variance, "gamma": gamma, "beta": beta, "epsilon": np.float32(1e-3)}
    (mine,) = outputs_of("batch_norm", attributes, x=x)
    shape = [1, 3] + [1] * (rank - 2)
    scaled = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + 1e-3)
    close(mine, gamma.reshape(shape) * scaled + beta.reshape(shape))
    if rank < 5:
        (mine,) = outputs_of("instance_norm", {"gamma": gamma, "beta": beta, "epsilon": np.float32(1e-3)}, x=x)
        close(mine, F.instance_norm(torch.tensor(x), weight=torch.tensor(gamma), bias=torch.tensor(beta), eps=1e-3))


def test_local_response_norm_by_its_formula():
    x = floats((1, 5, 2, 2), 0)
    attributes = {"size": 3, "alpha": np.float32(0.5), "beta": np.float32(0.75), "k": np.float32(2)}
    (mine,) = outputs_of("local_response_norm", attributes, x=x)
    squares = np.pad(x**2, [(0, 0), (1, 1), (0, 0), (0, 0)])
    around = squares[:, :-2] + squares[:, 1:-1] + squares[:, 2:]
    close(mine, x / (2 + 0.5 / 3 * around) ** 0.75)


def _gates(weight, order, hidden):
    parts = np.split(weight, len(order))
    return np.concatenate([parts[place] for place in order])


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("output_sequence", [True, False])
def test_lstm_is_torchs(direction, output_sequence):
    both = direction == "bidirectional"
    layer = nn.LSTM(3, 4, bidirectional=both)
    x = torch.randn(5, 2, 3)
    h0, c0 = torch.randn(2, 1 + both, 2, 4).unbind(0)
    with torch.no_grad():
        expected, (h, c) = layer(x.flip(0) if direction == "reverse" else x, (h0, c0))
    state = {name: value.detach().numpy() for name, value in layer.state_dict().items()}
    order = [0, 1, 3, 2]  # torch stacks input, forget, cell, output; MIL input, forget, output, cell
    given_weights = {
        "weight_ih": _gates(state["weight_ih_l0"], order, 4),
        "weight_hh": _gates(state["weight_hh_l0"], order, 4),
        "bias": _gates(state["bias_ih_l0"] + state["bias_hh_l0"], order, 4),
    }
    if both:
        given_weights["weight_ih_back"] = _gates(state["weight_ih_l0_reverse"], order, 4)
        given_weights["weight_hh_back"] = _gates(state["weight_hh_l0_reverse"], order, 4)
        given_weights["bias_back"] = _gates(state["bias_ih_l0_reverse"] + state["bias_hh_l0_reverse"], order, 4)
    attributes = {**given_weights, "direction": direction, "output_sequence": output_sequence}
    start = {name: torch.cat(tuple(value), -1).numpy() for name, value in (("initial_h", h0), ("initial_c", c0))}
    sequence, last_h, last_c = outputs_of("lstm", attributes, x=x.numpy(), **start)
    close(last_h, torch.cat(tuple(h), -1))
    close(last_c, torch.cat(tuple(c), -1))
    close(sequence, expected if output_sequence else torch.cat(tuple(h), -1)[None])


def test_lstm_with_peephole_and_clip():
    """Against the reference in coremltools' ``ops/tests/iOS14/test_recurrent.py``, written out."""
    x, weight_ih, weight_hh = floats((4, 1, 3), 0), floats((8, 3), 1), floats((8, 2), 2)
    bias, peephole = floats((8,), 3), floats((6,), 4)
    attributes = {"weight_ih": weight_ih, "weight_hh": weight_hh, "bias": bias, "peephole": peephole}
    attributes |= {"clip": np.float32(0.3), "output_sequence": True, "recurrent_activation": "hard_sigmoid"}
    zeros = np.zeros((1, 2), np.float32)
    sequence, _, _ = outputs_of("lstm", attributes, x=x, initial_h=zeros, initial_c=zeros)
    hard = lambda v: np.clip(0.2 * v + 0.5, 0, 1)  # noqa: E731
    h, c, expected = np.zeros(2), np.zeros(2), []
    p_i, p_f, p_o = np.split(peephole, 3)
    for step in x[:, 0]:
        i, f, o, g = np.split(weight_ih @ step + weight_hh @ h + bias, 4)
        c = np.clip(hard(f + c * p_f) * c + hard(i + c * p_i) * np.tanh(g), -0.3, 0.3)
        h = hard(o + c * p_o) * np.tanh(c)
        expected.append(h)
    close(sequence[:, 0], np.stack(expected))


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_gru_by_its_formula(direction):
    """Against the reference in coremltools' ``ops/tests/iOS14/test_recurrent.py``, written out."""
    x, weight_ih, weight_hh, bias = floats((4, 1, 3), 0), floats((6, 3), 1), floats((6, 2), 2), floats((6,), 3)
    start = floats((1, 2), 4)
    attributes = {"weight_ih": weight_ih, "weight_hh": weight_hh, "bias": bias, "output_sequence": True}
    sequence, last = outputs_of("gru", {**attributes, "direction": direction}, x=x, initial_h=start)
    sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
    h, expected = start[0], []
    for step in x[:: -1 if direction == "reverse" else 1, 0]:
        x_r, x_o, x_z = np.split(weight_ih @ step + bias, 3)
        h_r, h_o, h_z = np.split(weight_hh, 3)
        r, z = sigmoid(x_r + h_r @ h), sigmoid(x_z + h_z @ h)
        h = (1 - z) * np.tanh(x_o + h_o @ (r * h)) + z * h
        expected.append(h)
    close(sequence[:, 0], np.stack(expected))
    close(last[0], expected[-1])


def test_gru_refuses_reset_after():
    zeros = np.zeros((1, 2), np.float32)
    attributes = {"weight_ih": floats((6, 3), 0), "weight_hh": floats((6, 2), 1), "reset_after": True}
    with pytest.raises(RuntimeError, match="reset_after"):
        outputs_of("gru", attributes, x=floats((2, 1, 3), 2), initial_h=zeros)


def test_rnn_is_torchs():
    layer = nn.RNN(3, 4, nonlinearity="relu")
    x, h0 = torch.randn(5, 2, 3), torch.randn(1, 2, 4)
    state = {name: value.detach().numpy() for name, value in layer.state_dict().items()}
    attributes = {"weight_ih": state["weight_ih_l0"], "weight_hh": state["weight_hh_l0"], "activation": "relu"}
    attributes |= {"bias": state["bias_ih_l0"] + state["bias_hh_l0"], "output_sequence": True}
    sequence, last = outputs_of("rnn", attributes, x=x.numpy(), initial_h=h0[0].numpy())
    expected, h = layer(x, h0)
    close(sequence, expected)
    close(last, h[0])


@pytest.mark.parametrize("mode", ["update", "add", "sub", "mul", "div", "max", "min"])
@FEW
@given(st.integers(0, 2), seeds)
def test_scatter(mode, axis, seed):
    shape = [3, 4, 5]
    data, indices = floats(shape, seed, 0.5, 2), np.array([2, 0], np.int32)
    shape[axis] = 2
    updates = floats(shape, seed + 1, 0.5, 2)
    (mine,) = outputs_of("scatter", {"axis": axis, "mode": mode}, data=data, indices=indices, updates=updates)
    operation = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "max": np.maximum}
    operation |= {"min": np.minimum, "update": lambda old, new: new}
    expected = np.moveaxis(data.copy(), axis, 0)
    for place, index in enumerate(indices):
        expected[index] = operation[mode](expected[index], np.moveaxis(updates, axis, 0)[place])
    close(mine, np.moveaxis(expected, 0, axis))


@pytest.mark.parametrize("mode", ["update", "add"])
def test_scatter_along_axis_and_nd(mode):
    data, indices = floats((3, 4), 0), np.array([[2, 0, 1, 2]], np.int32)
    updates = floats((1, 4), 1)
    (mine,) = outputs_of("scatter_along_axis", {"axis": 0, "mode": mode}, data=data, indices=indices, updates=updates)
    expected = data.copy()
    for column in range(4):
        old = expected[indices[0, column], column] if mode == "add" else 0
        expected[indices[0, column], column] = old + updates[0, column]
    close(mine, expected)
    vectors, rows = np.array([[1, 2], [0, 0]], np.int32), floats((2, 5), 2)
    data = floats((2, 3, 5), 3)
    (mine,) = outputs_of("scatter_nd", {"mode": mode}, data=data, indices=vectors, updates=rows)
    expected = data.copy()
    for vector, row in zip(vectors, rows, strict=True):
        expected[tuple(vector)] = row + (expected[tuple(vector)] if mode == "add" else 0)
    close(mine, expected)


def test_gather_nd():
    x, indices = floats((2, 3, 4), 0), np.array([[1, 2], [0, 1]], np.int32)
    (mine,) = outputs_of("gather_nd", {}, x=x, indices=indices)
    close(mine, x[[1, 0], [2, 1]])
    (mine,) = outputs_of(
        "gather_nd", {"batch_dims": 1}, x=x, indices=np.array([[[2, 3], [0, 0]], [[1, 1], [2, 0]]], np.int32)
    )
    close(mine, np.array([[x[0, 2, 3], x[0, 0, 0]], [x[1, 1, 1], x[1, 2, 0]]]))


GRID = {  # the examples in the documentation of ``resize_bilinear``, two pixels with the values 0 and 1
    ("UNALIGN_CORNERS", 5): [0.0, 0.1, 0.5, 0.9, 1.0],
    ("STRICT_ALIGN_CORNERS", 5): [0.0, 0.25, 0.5, 0.75, 1.0],
    ("ALIGN_CORNERS", 5): [0.0, 0.25, 0.5, 0.75, 1.0],
    ("DEFAULT", 5): [0.0, 0.4, 0.8, 1.0, 1.0],
    ("OFFSET_CORNERS", 5): [0.1, 0.3, 0.5, 0.7, 0.9],
    ("UNALIGN_CORNERS", 6): [0.0, 0.0, 0.3333, 0.6667, 1.0, 1.0],
    ("DEFAULT", 6): [0.0, 0.3333, 0.6667, 1.0, 1.0, 1.0],
    ("OFFSET_CORNERS", 6): [0.0833, 0.25, 0.4167, 0.5833, 0.75, 0.9167],
}


@pytest.mark.parametrize("case", sorted(GRID))
def test_resize_bilinear_samples_as_documented(case):
    mode, size = case
    x = np.array([0, 1], np.float32).reshape(1, 1, 1, 2)
    attributes = {"target_size_height": 1, "target_size_width": size, "sampling_mode": mode}
    (mine,) = outputs_of("resize_bilinear", attributes, x=x)
    close(mine[0, 0, 0], np.array(GRID[case]), atol=1e-4)
    shape = np.array([1, size], np.int32)
    attributes = {"shape": shape, "resized_dims": np.uint32(2), "sampling_mode": mode}
    (mine,) = outputs_of("resize", attributes, x=x)
    close(mine[0, 0, 0], np.array(GRID[case]), atol=1e-4)


@FEW
@given(st.integers(2, 5), st.sampled_from([1.0, 1.5, 2.0, 3.0]), st.booleans(), seeds)
def test_upsampling_is_torchs(size, factor, align, seed):
    x = floats((1, 2, size, size + 1), seed)
    factors = {"scale_factor_height": np.float32(factor), "scale_factor_width": np.float32(factor)}
    target = [int(size * factor), int((size + 1) * factor)]
    (mine,) = outputs_of("upsample_bilinear", {**factors, "align_corners": align}, x=x)
    close(mine, F.interpolate(torch.tensor(x), target, mode="bilinear", align_corners=align))
    (mine,) = outputs_of("upsample_nearest_neighbor", factors, x=x)
    close(mine, F.interpolate(torch.tensor(x), target, mode="nearest"))
    attributes = {"target_size_height": target[0], "target_size_width": target[1]}
    (mine,) = outputs_of("resize_nearest_neighbor", attributes, x=x)
    close(mine, F.interpolate(torch.tensor(x), target, mode="nearest-exact"))


CROPS = [  # figures of coremltools' ``ops/tests/iOS14/test_image_resizing.py``
    ([1, 1, 2, 2], 2, [[6, 7], [10, 11]]),
    ([1, 1, 2, 2], 1, [[8.5]]),
    ([2, 2, 1, 1], 2, [[11, 10], [7, 6]]),
    (
        [1, 1, 2, 2],
        4,
        [[6, 6.3333, 6.6667, 7], [7.3333, 7.6667, 8, 8.3333], [8.6667, 9, 9.3333, 9.6667], [10, 10.3333, 10.6667, 11]],
    ),
]


@pytest.mark.parametrize(("box", "size", "expected"), CROPS)
def test_crop_resize(box, size, expected):
    x = np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)
    attributes = {"target_height": size, "target_width": size, "sampling_mode": "ALIGN_CORNERS"}
    roi = np.array(box, np.float32).reshape(1, 1, 4, 1, 1)
    (mine,) = outputs_of("crop_resize", attributes, opset="iOS16", x=x, roi=roi)
    close(mine[0, 0, 0], np.array(expected), atol=1e-3)
    boxes, indices = np.array([box], np.float32), np.array([0], np.int32)
    (mine,) = outputs_of("crop_resize", attributes, x=x, boxes=boxes, box_indices=indices)
    close(mine[0, 0], np.array(expected), atol=1e-3)
    named = np.array([0, *box], np.float32).reshape(1, 1, 5, 1, 1)
    (mine,) = outputs_of("crop_resize", attributes, opset="iOS15", x=x, roi=named)
    close(mine[0, 0, 0], np.array(expected), atol=1e-3)


def test_crop_beyond_the_image_is_padded():
    x = np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)
    attributes = {"target_height": 2, "target_width": 2, "sampling_mode": "ALIGN_CORNERS", "pad_value": np.float32(9)}
    boxes, indices = np.array([[2, 2, 5, 3]], np.float32), np.array([0], np.int32)
    (mine,) = outputs_of("crop_resize", attributes, x=x, boxes=boxes, box_indices=indices)
    close(mine[0, 0], np.array([[11, 12], [9, 9]]))


@pytest.mark.parametrize("padding", ["constant", "border", "reflection"])
@pytest.mark.parametrize("sampling", ["bilinear", "nearest"])
@pytest.mark.parametrize("align", [True, False])
def test_resample_is_torchs_grid_sample(padding, sampling, align):
    # torch mirrors about the edge when corners are not aligned
    padding_names = "symmetric" if padding == "reflection" and not align else padding
    x, grid = floats((2, 3, 5, 4), 0), floats((2, 3, 6, 2), 1, -1.4, 1.4)
    attributes = {"sampling_mode": sampling, "padding_mode": padding_names, "padding_value": np.float32(0)}
    attributes |= {"coordinates_mode": "normalized_minus_one_to_one", "align_corners": align}
    (mine,) = outputs_of("resample", attributes, x=x, coordinates=grid)
    names = {"constant": "zeros"}
    expected = F.grid_sample(torch.tensor(x), torch.tensor(grid), sampling, names.get(padding, padding), align)
    close(mine, expected)


def test_resample_by_pixels_with_a_padding_value():
    x = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    pixels = np.array([[[0, 0], [2, 1], [1, 0], [7, 0]]], np.int32).reshape(1, 1, 4, 2)
    attributes = {"sampling_mode": "nearest", "padding_mode": "constant", "padding_value": np.float32(-1)}
    attributes |= {"coordinates_mode": "unnormalized", "align_corners": True}
    (mine,) = outputs_of("resample", attributes, x=x, coordinates=pixels)
    close(mine[0, 0, 0], np.array([0, 5, 1, -1], np.float32))


def test_affine_is_torchs():
    x, matrix = floats((2, 1, 5, 6), 0), floats((2, 6), 1, -1, 1)
    attributes = {"output_height": 4, "output_width": 3, "sampling_mode": "bilinear", "padding_mode": "constant"}
    attributes |= {
        "padding_value": np.float32(0),
        "coordinates_mode": "normalized_minus_one_to_one",
        "align_corners": True,
    }
    (mine,) = outputs_of("affine", attributes, x=x, transform_matrix=matrix)
    grid = F.affine_grid(torch.tensor(matrix).reshape(2, 2, 3), [2, 1, 4, 3], align_corners=True)
    close(mine, F.grid_sample(torch.tensor(x), grid, align_corners=True))


def test_blocks_of_space_and_depth():
    x = floats((2, 3, 4, 6), 0)
    (deep,) = outputs_of("space_to_depth", {"block_size": 2}, x=x)
    rows = x.reshape(2, 3, 2, 2, 3, 2)  # TensorFlow's order: block row, block column, then channel
    close(deep, rows.transpose(0, 3, 5, 1, 2, 4).reshape(2, 12, 2, 3))
    (back,) = outputs_of("depth_to_space", {"block_size": 2}, x=deep)
    close(back, x)
    (shuffled,) = outputs_of("pixel_shuffle", {"upscale_factor": 2}, x=deep)
    close(shuffled, F.pixel_shuffle(torch.tensor(deep), 2))
    (unshuffled,) = outputs_of("pixel_unshuffle", {"downscale_factor": np.uint32(2)}, x=shuffled)
    close(unshuffled, deep)
    attributes = {"block_shape": [2, 3], "paddings": [[1, 1], [0, 0]]}
    (batched,) = outputs_of("space_to_batch", attributes, x=x)
    assert batched.shape == (12, 3, 3, 2)
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (0, 0)])
    close(batched[2 * (1 * 3 + 2) + 1], padded[1, :, 1::2, 2::3])
    (back,) = outputs_of("batch_to_space", {"block_shape": [2, 3], "crops": [[1, 1], [0, 0]]}, x=batched)
    close(back, x)


def test_crop():
    x = floats((1, 2, 5, 6), 0)
    (mine,) = outputs_of("crop", {"crop_height": [1, 0], "crop_width": [2, 3]}, x=x)
    close(mine, x[:, :, 1:, 2:3])


def test_sequences_and_windows():
    x, lengths = floats((3, 5), 0), np.array([2, 5, 0], np.int32)
    (mine,) = outputs_of("reverse_sequence", {"seq_axis": 1, "batch_axis": 0}, x=x, lengths=lengths)
    close(mine, np.stack([np.concatenate([row[:n][::-1], row[n:]]) for row, n in zip(x, lengths, strict=True)]))
    (mine,) = outputs_of("sliding_windows", {"axis": 1, "size": 3, "stride": 2}, x=x)
    close(mine, np.stack([x[:, 0:3], x[:, 2:5]], 1))
    (mine,) = outputs_of(
        "one_hot",
        {"one_hot_vector_size": 4, "axis": 0, "on_value": 2.0, "off_value": 0.0},
        indices=np.array([1, 3], np.int32),
    )
    close(mine, np.array([[0, 0], [2, 0], [0, 0], [0, 2]]))
    attributes = {"begins": [0, 1], "ends": [1, 0], "end_masks": [False, True]}
    (mine,) = outputs_of("reshape_like", attributes, x=x, ref_tensors=[floats((5, 2), 0), floats((7, 3), 0)])
    close(mine, x.reshape(5, 3))


def test_quantized_values_come_back():
    x = floats((2, 3, 4), 0, -1, 1)
    scale, zero = np.array([0.01, 0.02, 0.03], np.float32), np.array([3, -4, 0], np.int8)
    parameters = {"scale": scale, "zero_point": zero, "axis": 1}
    (levels,) = outputs_of("quantize", {**parameters, "output_dtype": "int8"}, input=x)
    assert levels.dtype == np.int8
    (back,) = outputs_of("dequantize", parameters, input=levels)
    inside = np.clip(np.round(x / scale[:, None]) + zero[:, None], -128, 127) - zero[:, None]
    close(back, inside * scale[:, None])


@pytest.mark.parametrize("op_type", ["random_uniform", "random_normal", "random_bernoulli"])
def test_random_ops_draw_from_their_distribution(op_type):
    attributes = {
        "random_uniform": {"low": np.float32(2), "high": np.float32(4)},
        "random_normal": {"mean": np.float32(3), "stddev": np.float32(0.5)},
        "random_bernoulli": {"prob": np.float32(0.25)},
    }[op_type]
    (drawn,) = outputs_of(op_type, {**attributes, "seed": 7}, shape=np.array([4000], np.int32))
    mean, deviation = {"random_uniform": (3, 0.577), "random_normal": (3, 0.5), "random_bernoulli": (0.25, 0.433)}[
        op_type
    ]
    assert drawn.mean() == pytest.approx(mean, abs=0.05)
    assert drawn.std() == pytest.approx(deviation, abs=0.05)
    (again,) = outputs_of(op_type, {**attributes, "seed": 7}, shape=np.array([4000], np.int32))
    np.testing.assert_array_equal(drawn, again)


def test_random_categorical():
    logits = np.log(np.array([[0.1, 0.6, 0.3]], np.float32))
    (drawn,) = outputs_of("random_categorical", {"size": 4000, "seed": 1}, x=logits)
    assert drawn.shape == (1, 4000)
    np.testing.assert_allclose(np.bincount(drawn[0].astype(int)) / 4000, [0.1, 0.6, 0.3], atol=0.05)


def suppressed(boxes, scores, iou, score, per_class):
    """Greedy suppression by its definition, for one sample."""
    best, label = scores.max(-1), scores.argmax(-1)
    kept = []
    for box in np.argsort(-best):
        if best[box] <= score:
            continue
        low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
        ok = True
        for other in kept:
            if per_class and label[other] != label[box]:
                continue
            inter = np.prod(np.maximum(np.minimum(high[box], high[other]) - np.maximum(low[box], low[other]), 0))
            union = np.prod(boxes[box, 2:]) + np.prod(boxes[other, 2:]) - inter
            ok &= inter / union <= iou
        if ok:
            kept.append(box)
    return kept or [int(best.argmax())]


@FEW
@given(st.booleans(), st.integers(1, 3), st.sampled_from([0.1, 0.5, 5.0]), seeds)
def test_non_maximum_suppression(per_class, classes, score, seed):
    boxes, scores = floats((1, 9, 4), seed, 1, 4), floats((1, 9, classes), seed + 1, 0, 1)
    attributes = {"iou_threshold": np.float32(0.3), "max_boxes": 6, "per_class_suppression": per_class}
    kept = suppressed(boxes[0], scores[0], 0.3, score, per_class)[:6]
    older = {**attributes, "score_threshold": np.float32(score)}
    picked, values, indices, count = outputs_of("non_maximum_suppression", older, "iOS16", boxes=boxes, scores=scores)
    assert count[0] == len(kept)
    np.testing.assert_array_equal(indices[0], kept + [-1] * (6 - len(kept)))
    close(picked[0, : len(kept)], boxes[0, kept])
    close(values[0, : len(kept)], scores[0, kept])
    kept = suppressed(boxes[0], scores[0], 0.3, -1, per_class)[:6]
    turned = {"boxes": boxes.transpose(0, 2, 1).copy(), "scores": scores.transpose(0, 2, 1).copy()}
    _, _, indices = outputs_of("non_maximum_suppression", attributes, **turned)
    np.testing.assert_array_equal(indices[0], kept + [-1] * (6 - len(kept)))
