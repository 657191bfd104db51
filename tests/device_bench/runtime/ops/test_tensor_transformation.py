"""Changes of shape and layout, against coremltools' value inference, torch or NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.device_bench.runtime.support.arrays import FEW, close, floats, seeds, shapes
from tests.device_bench.runtime.support.mil import assert_inferred, outputs_of


@FEW
@given(shapes, seeds, st.data())
def test_transposition_and_reversal(shape, seed, data):
    rank = len(shape)
    x = floats(shape, seed)
    assert_inferred("transpose", {"perm": data.draw(st.permutations(range(rank)))}, x=x)
    axes = data.draw(st.lists(st.integers(0, rank - 1), min_size=1, unique=True))
    assert_inferred("reverse", {"axes": axes}, x=x)
    assert_inferred("reverse", {}, x=x)
    assert_inferred("expand_dims", {"axes": sorted({data.draw(st.integers(0, rank)), -1})}, x=x)
    assert_inferred("tile", {"reps": [data.draw(st.integers(1, 3)) for _ in shape]}, x=x)
    assert_inferred("identity", {}, x=x)


@FEW
@given(shapes, seeds, st.data())
def test_reshape(shape, seed, data):
    x = floats(shape, seed)
    order = list(data.draw(st.permutations(shape)))
    order[data.draw(st.integers(0, len(order) - 1))] = -1
    assert_inferred("reshape", {"shape": order}, x=x)
    kept = [0 if data.draw(st.booleans()) else size for size in shape]
    assert_inferred("reshape", {"shape": kept}, opset="iOS15", x=x)
    assert_inferred("flatten2d", {"axis": data.draw(st.integers(1, len(shape)))}, x=floats((*shape, 2), seed))


@pytest.mark.parametrize(("x_shape", "shape"), [((2, 50), [1, 0, -1, 0]), ((2, 3, 4), [0, -1]), ((6, 4), [2, -1, 0])])
def test_reshape_copies_sizes_from_the_right(x_shape, shape):
    assert_inferred("reshape", {"shape": shape}, x=floats(x_shape, 0))


@FEW
@given(st.lists(st.sampled_from([1, 1, 2, 3]), min_size=2, max_size=4), seeds, st.data())
def test_squeeze(shape, seed, data):
    ones = [axis for axis, size in enumerate(shape) if size == 1]
    if not ones or len(ones) == len(shape):
        shape, ones = [1, *shape, 2], [0]
    axes = data.draw(st.lists(st.sampled_from(ones), min_size=1, unique=True))
    assert_inferred("squeeze", {"axes": axes}, x=floats(shape, seed))
    assert_inferred("squeeze", {}, x=floats(shape, seed))


@FEW
@given(shapes, seeds, st.data())
def test_concat_stack_split(shape, seed, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    parts = [floats(shape, seed + part) for part in range(3)]
    assert_inferred("concat", {"axis": axis}, values=parts)
    assert_inferred("stack", {"axis": axis}, values=parts)
    whole = np.concatenate(parts, axis)
    assert_inferred("split", {"axis": axis, "num_splits": 3}, x=whole)
    sizes = [shape[axis], 2 * shape[axis]]
    assert_inferred("split", {"axis": axis, "split_sizes": sizes}, x=whole)


def test_concat_interleaved():
    one, two = [np.arange(6, dtype=np.float32).reshape(3, 2) + shift for shift in (1, 7)]
    (result,) = outputs_of("concat", {"axis": 0, "interleave": True}, values=[one, two])
    np.testing.assert_array_equal(result, [[1, 2], [7, 8], [3, 4], [9, 10], [5, 6], [11, 12]])


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate"])
@FEW
@given(st.lists(st.integers(3, 5), min_size=1, max_size=4), seeds, st.data())
def test_pad(mode, shape, seed, data):
    padded = data.draw(st.integers(1, len(shape)))
    amounts = [data.draw(st.integers(0, 2)) for _ in range(2 * padded)]
    extra = {"constant_val": np.float32(1.5)} if mode == "constant" else {}
    assert_inferred("pad", {"pad": amounts, "mode": mode, **extra}, x=floats(shape, seed))


@FEW
@given(st.lists(st.integers(1, 5), min_size=2, max_size=3), seeds, st.integers(-1, 3), st.integers(-1, 3))
def test_band_part(shape, seed, lower, upper):
    assert_inferred("band_part", {"lower": lower, "upper": upper}, x=floats(shape, seed))


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


def test_sequences_and_windows():
    x, lengths = floats((3, 5), 0), np.array([2, 5, 0], np.int32)
    (mine,) = outputs_of("reverse_sequence", {"seq_axis": 1, "batch_axis": 0}, x=x, lengths=lengths)
    close(mine, np.stack([np.concatenate([row[:n][::-1], row[n:]]) for row, n in zip(x, lengths, strict=True)]))
    (mine,) = outputs_of("sliding_windows", {"axis": 1, "size": 3, "stride": 2}, x=x)
    close(mine, np.stack([x[:, 0:3], x[:, 2:5]], 1))
    attributes = {"begins": [0, 1], "ends": [1, 0], "end_masks": [False, True]}
    (mine,) = outputs_of("reshape_like", attributes, x=x, ref_tensors=[floats((5, 2), 0), floats((7, 3), 0)])
    close(mine, x.reshape(5, 3))
