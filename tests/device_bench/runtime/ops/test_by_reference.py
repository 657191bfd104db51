"""Kernels of ops that coremltools does not infer, against torch's layers, NumPy, or figures in coremltools' tests."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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
