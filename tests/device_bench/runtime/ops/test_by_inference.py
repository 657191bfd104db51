"""Kernels against coremltools' value inference, over random shapes and attributes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device_bench.runtime.mil import assert_inferred, inferred, outputs_of

FEW = settings(max_examples=6, deadline=None)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
seeds = st.integers(0, 2**16)


def floats(shape, seed, low=-3.0, high=3.0):
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def integers(shape, seed, low=-6, high=7):
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.int32)


UNARY = {
    **dict.fromkeys(["abs", "atan", "ceil", "cos", "cosh", "erf", "exp", "exp2", "floor", "round"], (-3, 3)),
    **dict.fromkeys(["sign", "sin", "sinh", "square", "tan", "tanh"], (-1.5, 1.5)),
    **dict.fromkeys(["acos", "asin", "atanh"], (-0.95, 0.95)),
    **dict.fromkeys(["relu", "relu6", "sigmoid", "softplus", "softsign"], (-9, 9)),
    "sqrt": (0, 9),
}


@pytest.mark.parametrize("op_type", sorted(UNARY))
@FEW
@given(shapes, seeds)
def test_unary(op_type, shape, seed):
    assert_inferred(op_type, {}, x=floats(shape, seed, *UNARY[op_type]), rtol=1e-4, atol=1e-5)


ATTRIBUTES = {
    "clip": ["alpha", "beta"],
    "threshold": ["alpha"],
    "clamped_relu": ["alpha", "beta"],
    "elu": ["alpha"],
    "leaky_relu": ["alpha"],
    "linear_activation": ["alpha", "beta"],
    "scaled_tanh": ["alpha", "beta"],
    "sigmoid_hard": ["alpha", "beta"],
    "thresholded_relu": ["alpha"],
}


@pytest.mark.parametrize("op_type", sorted(ATTRIBUTES))
@FEW
@given(shapes, seeds, st.sampled_from([0.125, 0.5, 0.75]), st.sampled_from([1.0, 1.5, 2.0]))
def test_with_attributes(op_type, shape, seed, alpha, beta):
    values = {"alpha": np.float32(alpha), "beta": np.float32(beta)}
    assert_inferred(op_type, {name: values[name] for name in ATTRIBUTES[op_type]}, x=floats(shape, seed))


@pytest.mark.parametrize("op_type", ["inverse", "log", "rsqrt"])
@FEW
@given(shapes, seeds, st.sampled_from([1e-3, 0.5]))
def test_with_epsilon(op_type, shape, seed, epsilon):
    x = floats(shape, seed, 0.01, 5)
    assert_inferred(op_type, {"epsilon": np.float32(epsilon)}, x=x, rtol=1e-4)
    assert_inferred(op_type, {}, x=x, rtol=1e-4)


@pytest.mark.parametrize("mode", ["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"])
@FEW
@given(shapes, seeds)
def test_gelu(mode, shape, seed):
    assert_inferred("gelu", {"mode": mode}, x=floats(shape, seed), atol=1e-5)


ARITHMETIC = ["add", "sub", "mul", "maximum", "minimum"]
COMPARISONS = ["equal", "not_equal", "greater", "greater_equal", "less", "less_equal"]


@st.composite
def broadcast(draw):
    shape = draw(shapes)
    other = tuple(draw(st.sampled_from([1, size])) for size in shape[draw(st.integers(0, len(shape) - 1)) :])
    return (shape, other) if draw(st.booleans()) else (other, shape)


@pytest.mark.parametrize("op_type", [*ARITHMETIC, *COMPARISONS, "floor_div", "mod"])
@FEW
@given(broadcast(), seeds, st.booleans())
def test_binary(op_type, pair, seed, whole):
    make = integers if whole else floats
    x, y = make(pair[0], seed), make(pair[1], seed + 1)
    if op_type in ("floor_div", "mod"):
        y = np.where(np.abs(y) < 0.3, np.ones_like(y), y)
    assert_inferred(op_type, {}, x=x, y=y, atol=1e-5)


@FEW
@given(broadcast(), seeds)
def test_division_and_power(pair, seed):
    x, y = floats(pair[0], seed, 0.1, 3), floats(pair[1], seed + 1, 0.2, 2)
    assert_inferred("real_div", {}, x=x, y=y)
    assert_inferred("pow", {}, x=x, y=y, rtol=1e-4)


@pytest.mark.parametrize("op_type", ["logical_and", "logical_or", "logical_xor"])
@FEW
@given(broadcast(), seeds)
def test_logical(op_type, pair, seed):
    assert_inferred(op_type, {}, x=integers(pair[0], seed) > 0, y=integers(pair[1], seed + 1) > 0)


@FEW
@given(shapes, seeds)
def test_logical_not_and_select(shape, seed):
    condition = integers(shape, seed) > 0
    assert_inferred("logical_not", {}, x=condition)
    assert_inferred("select", {}, cond=condition, a=floats(shape, seed), b=floats(shape, seed + 1))


REDUCTIONS = [
    "reduce_sum",
    "reduce_mean",
    "reduce_max",
    "reduce_min",
    "reduce_prod",
    "reduce_l1_norm",
    "reduce_l2_norm",
]


@st.composite
def reductions(draw):
    shape = draw(shapes)
    axes = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    axes = [axis - len(shape) if draw(st.booleans()) else axis for axis in axes]
    attributes = {"keep_dims": draw(st.booleans())}
    if draw(st.booleans()):
        attributes["axes"] = axes
    return shape, attributes


@pytest.mark.parametrize("op_type", [*REDUCTIONS, "reduce_sum_square", "reduce_log_sum", "reduce_log_sum_exp"])
@FEW
@given(reductions(), seeds)
def test_reduction(op_type, case, seed):
    shape, attributes = case
    assert_inferred(op_type, attributes, x=floats(shape, seed, 0.1, 2), rtol=1e-4)


@pytest.mark.parametrize("op_type", ["reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_sum_square"])
@FEW
@given(reductions(), seeds)
def test_reduction_of_integers(op_type, case, seed):
    assert_inferred(op_type, case[1], x=integers(case[0], seed, -3, 4))


@pytest.mark.parametrize("op_type", ["reduce_argmax", "reduce_argmin"])
@FEW
@given(shapes, seeds, st.booleans(), st.data())
def test_arg_reduction(op_type, shape, seed, keep, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    assert_inferred(op_type, {"axis": axis, "keep_dims": keep}, x=floats(shape, seed))


@FEW
@given(shapes, seeds, st.data())
def test_softmax_and_cumsum(shape, seed, data):
    axis = data.draw(st.integers(-1, len(shape) - 1))
    x = floats(shape, seed)
    assert_inferred("softmax", {"axis": axis}, x=x)
    assert_inferred("cumsum", {"axis": axis, "reverse": data.draw(st.booleans())}, x=x, atol=1e-5)
    # coremltools 9.0 cannot infer the exclusive form.
    (exclusive,) = outputs_of("cumsum", {"axis": axis, "exclusive": True}, x=x)
    np.testing.assert_allclose(exclusive, np.cumsum(x, axis) - x, atol=1e-5)


@FEW
@given(shapes, seeds, st.data())
def test_sorting(shape, seed, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    ascending = data.draw(st.booleans())
    x = floats(shape, seed)
    assert_inferred("argsort", {"axis": axis, "ascending": ascending}, x=x)
    k = data.draw(st.integers(1, shape[axis]))
    assert_inferred("topk", {"k": k, "axis": axis, "ascending": ascending}, x=x)
    assert_inferred("topk", {"k": k, "axis": axis, "ascending": ascending, "return_indices": False}, x=x)
    assert_inferred("topk", {"k": k, "axis": axis, "ascending": ascending}, opset="iOS15", x=x)


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


@st.composite
def slices(draw):
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    begin, end, stride, masks = [], [], [], [[], [], []]
    for size in shape:
        step = draw(st.sampled_from([1, 1, 2, -1, -2]))
        first, last = sorted((draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))))
        begin.append(first if step > 0 else last)
        end.append(last + 1 if step > 0 else first - 1 if first else -size - 1)
        if draw(st.booleans()) and begin[-1]:
            begin[-1] -= size
        stride.append(step)
        squeezed = draw(st.integers(0, 4)) == 0 and len(shape) > 1 and not all(masks[2][: len(shape) - 1] or [False])
        masks[2].append(squeezed)
        masks[0].append(draw(st.booleans()))
        masks[1].append(draw(st.booleans()))
    if all(masks[2]):
        masks[2][0] = False
    names = ("begin_mask", "end_mask", "squeeze_mask")
    return shape, {"begin": begin, "end": end, "stride": stride, **dict(zip(names, masks, strict=True))}


@settings(max_examples=25, deadline=None)
@given(slices(), seeds)
def test_slice_by_index(case, seed):
    shape, attributes = case
    assert_inferred("slice_by_index", attributes, x=floats(shape, seed))


@settings(max_examples=25, deadline=None)
@given(slices(), seeds)
def test_slice_update(case, seed):
    shape, attributes = case
    x = floats(shape, seed)
    if any(attributes["squeeze_mask"]):
        attributes["squeeze_mask"] = [False] * len(shape)
    (part,) = inferred("slice_by_index", attributes, x=x)
    assert_inferred("slice_update", attributes, x=x, update=floats(part.shape, seed + 1))


@FEW
@given(shapes, seeds, st.data())
def test_slice_by_size(shape, seed, data):
    begin = [data.draw(st.integers(0, size - 1)) for size in shape]
    size = [data.draw(st.sampled_from([-1, n - b])) for n, b in zip(shape, begin, strict=True)]
    assert_inferred("slice_by_size", {"begin": begin, "size": size}, x=floats(shape, seed))


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


@FEW
@given(shapes, seeds, st.data())
def test_gather(shape, seed, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    index_shape = data.draw(st.sampled_from([(3,), (2, 2), (1,)]))
    x = floats(shape, seed)
    positive = integers(index_shape, seed, 0, shape[axis])
    assert_inferred("gather", {"axis": axis}, x=x, indices=positive)
    either = integers(index_shape, seed, -shape[axis], shape[axis])
    assert_inferred("gather", {"axis": axis}, opset="iOS16", x=x, indices=either)
    assert_inferred("gather", {"axis": axis}, opset="iOS15", x=x, indices=either)
    along = list(shape)
    along[axis] = 5
    indices = integers(along, seed, 0, shape[axis])
    assert_inferred("gather_along_axis", {"axis": axis}, x=x, indices=indices)


@FEW
@given(st.lists(st.integers(2, 4), min_size=3, max_size=4), seeds, st.integers(1, 2))
def test_gather_with_batch_dimensions(shape, seed, batch):
    indices = integers((*shape[:batch], 3), seed, 0, shape[batch])
    assert_inferred("gather", {"axis": batch, "batch_dims": batch}, x=floats(shape, seed), indices=indices)


@FEW
@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), seeds, st.booleans(), st.booleans())
def test_matmul(batch, seed, transpose_x, transpose_y):
    *lead, inner = batch
    x = floats((*lead, *((inner, 3) if transpose_x else (3, inner))), seed)
    y = floats((*lead[1:], *((2, inner) if transpose_y else (inner, 2))), seed + 1)
    assert_inferred("matmul", {"transpose_x": transpose_x, "transpose_y": transpose_y}, x=x, y=y, atol=1e-4)


@FEW
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), seeds)
def test_linear_and_einsum(rows, inner, outer, seed):
    weight, bias = floats((outer, inner), seed), floats((outer,), seed + 1)
    assert_inferred("linear", {"weight": weight, "bias": bias}, x=floats((rows, inner), seed + 2), atol=1e-5)
    one, two = floats((2, rows, 3, inner), seed), floats((2, inner, 3, outer), seed + 1)
    assert_inferred("einsum", {"equation": "nchw,nwhu->nchu"}, values=[one, two], atol=1e-5)


@pytest.mark.parametrize("masked", [None, "float", "bool"])
@FEW
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), seeds)
def test_attention(masked, heads, queries, keys, seed):
    q, k, v = (floats((1, heads, n, 4), seed + i) for i, n in enumerate((queries, keys, keys)))
    inputs = {"query": q, "key": k, "value": v}
    if masked == "float":
        inputs["attn_mask"] = floats((queries, keys), seed)
    if masked == "bool":
        inputs["attn_mask"] = integers((queries, keys), seed) > 0
        inputs["attn_mask"][:, 0] = True
    assert_inferred("scaled_dot_product_attention", {}, **inputs, atol=1e-5)


@FEW
@given(st.lists(st.integers(1, 4), min_size=3, max_size=4), seeds)
def test_norms(shape, seed):
    x = floats(shape, seed)
    assert_inferred("l2_norm", {"epsilon": np.float32(1e-3)}, x=x, rtol=1e-4)
    axes = [-2, -1]
    gamma, beta = floats(shape[-2:], seed), floats(shape[-2:], seed + 1)
    attributes = {"axes": axes, "gamma": gamma, "beta": beta, "epsilon": np.float32(1e-3)}
    assert_inferred("layer_norm", attributes, x=x, rtol=1e-3, atol=1e-4)
    attributes = {"axes": [1], "gamma": floats((shape[1],), seed), "beta": floats((shape[1],), 1)}
    assert_inferred("layer_norm", {**attributes, "epsilon": np.float32(1e-3)}, x=x, rtol=1e-3, atol=1e-4)


@FEW
@given(st.integers(1, 3), st.integers(2, 4), seeds)
def test_channel_activations(batch, channels, seed):
    x = floats((batch, channels, 3, 2), seed)
    alpha, beta = floats((channels,), seed, 0.1, 1), floats((channels,), seed + 1, 0.1, 1)
    assert_inferred("prelu", {"alpha": alpha}, x=x)
    assert_inferred("softplus_parametric", {"alpha": alpha, "beta": beta}, x=x, atol=1e-5)


@FEW
@given(shapes, seeds, st.data())
def test_creation(shape, seed, data):
    ints = integers(shape, seed)
    assert_inferred("non_zero", {}, x=ints)
    assert_inferred("fill_like", {"value": np.float32(2.5)}, ref_tensor=ints)
    assert_inferred("shape", {}, x=floats(shape, seed))
    first = data.draw(st.integers(-3, 3))
    bounds = {"start": np.int32(first), "end": np.int32(first + 7), "step": np.int32(data.draw(st.integers(1, 3)))}
    assert_inferred("range_1d", {}, **{name: np.asarray(value) for name, value in bounds.items()})
    assert_inferred("fill", {"value": np.float32(-1.5)}, shape=np.asarray(shape, dtype=np.int32))


@pytest.mark.parametrize("dtype", ["int32", "bool", "fp32", "int8", "uint8"])
@FEW
@given(shapes, seeds)
def test_cast(dtype, shape, seed):
    x = np.abs(floats(shape, seed, -90, 90)) if dtype == "uint8" else floats(shape, seed, -90, 90)
    assert_inferred("cast", {"dtype": dtype}, x=x)
    assert_inferred("cast", {"dtype": "fp32"}, x=integers(shape, seed))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@FEW
@given(st.lists(st.integers(2, 4), min_size=2, max_size=4), seeds, st.booleans(), st.data())
def test_quantize(dtype, shape, seed, by_axis, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    size = (shape[axis],) if by_axis else ()
    scale = floats(size, seed, 0.01, 0.1)
    zero = np.random.default_rng(seed).integers(0, 50, size).astype(dtype)
    attributes = {"scale": scale, "zero_point": zero, "output_dtype": dtype}
    if by_axis:
        attributes["axis"] = axis
    assert_inferred("quantize", attributes, input=floats(shape, seed, -9, 9))
