import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types
from coremltools.optimize import coreml as cto
from torch import nn

from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.cost.latency_model import prepare_latency
from palettune.device_bench.cost.op import OpKind
from palettune.device_bench.cost.op_node import ProgramOpsError
from palettune.device_bench.cost.program_ops import ops_of_base_program, ops_of_package
from palettune.device_bench.cost.shapes import ShapeBuilder
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package.package import PackageError
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.target import DeploymentTarget
from tests.device_bench.odd_packages import random
from tests.device_bench.runtime.packages import save

TARGET = DeploymentTarget.IOS18
WEIGHTED = (OpKind.CONV, OpKind.DEPTHWISE, OpKind.LINEAR, OpKind.EMBEDDING)


class Mixed(nn.Module):
    """A grayscale stem, a depthwise and a transposed convolution, attention, an embedding and a linear layer."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.embedding = nn.Embedding(50, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, x, index):
        x = torch.relu(self.stem(x))
        x = self.up(torch.nn.functional.silu(self.depthwise(x)))
        tokens = x.flatten(2).transpose(1, 2)
        keys = torch.tanh(tokens)
        mixed = torch.softmax(tokens @ keys.transpose(1, 2), -1) @ keys
        return self.head(mixed.mean(1) + self.embedding(index).mean(1))


INPUTS = (torch.rand(1, 1, 16, 16), torch.zeros(1, 4, dtype=torch.int32))


@pytest.fixture(scope="module")
def model():
    return Mixed().eval()


@pytest.fixture(scope="module")
def layers(model):
    return layers_of(model)


@pytest.fixture(scope="module")
def package(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("ops") / "mixed.mlpackage"
    convert(model, INPUTS, TARGET).save(str(path))
    return path


@pytest.fixture(scope="module")
def from_base(model, layers):
    return ops_of_base_program(base_program(model, INPUTS, TARGET, [layer.name for layer in layers]), layers)


def test_each_layer_is_found_with_its_shape_and_work(from_base):
    found = {op.layer: op for op in from_base if op.kind in WEIGHTED}
    assert {name: op.kind for name, op in found.items()} == {
        "stem": OpKind.CONV, "depthwise": OpKind.DEPTHWISE, "up": OpKind.CONV,
        "embedding": OpKind.EMBEDDING, "head": OpKind.LINEAR,
    }  # fmt: skip
    assert {name: op.macs for name, op in found.items()} == {
        "stem": 16 * 9 * 64, "depthwise": 16 * 9 * 64, "up": 16 * 8 * 4 * 64, "embedding": 0, "head": 40,
    }  # fmt: skip


def test_attention_is_two_products_and_a_softmax_and_activations_are_fused(from_base):
    products = [op for op in from_base if op.kind is OpKind.MATMUL]
    assert [op.macs for op in products] == [256 * 256 * 8] * 2
    (softmax,) = [op for op in from_base if op.kind is OpKind.SOFTMAX]
    assert softmax.matrix_bytes == 256 * 256 * 2
    names = " ".join(op.name for op in from_base)
    assert "relu" not in names
    assert "silu" not in names


def test_a_package_has_the_same_ops_as_its_base_program(from_base, package):
    def content(ops):
        return [(op.kind, op.macs, op.weight_shape, op.read_bytes, op.written_bytes) for op in ops]

    assert content(ops_of_package(package).ops) == content(from_base)


def test_a_network_from_shapes_alone_costs_what_its_conversion_costs():
    built = ShapeBuilder()
    for i in range(3):
        built.linear(f"l{i}", (256, 256), 8)
    module = nn.Sequential(*[nn.Linear(256, 256) for _ in range(3)]).eval()
    names = [layer.name for layer in layers_of(module)]
    converted = ops_of_base_program(base_program(module, (torch.rand(8, 256),), TARGET, names), layers_of(module))
    both = [
        prepare_latency(ops, device="M2", unit="CPU_AND_NE").predict(Configuration({})).ms
        for ops in (built.build(), converted)
    ]
    assert both[0] == pytest.approx(both[1], rel=1e-6)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (cto.OpPalettizerConfig(mode="uniform", nbits=4, weight_threshold=1), {"bits": 4}),
        (cto.OpPalettizerConfig(mode="uniform", nbits=4, granularity="per_grouped_channel", group_size=4,
                                weight_threshold=1), {"bits": 4, "table_channels": 4}),
        (cto.OpLinearQuantizerConfig(weight_threshold=1), {"bits": 8, "linear": True}),
        (cto.OpLinearQuantizerConfig(dtype="int4", granularity="per_block", block_size=32, weight_threshold=1),
         {"bits": 4, "linear": True, "blocks": True}),
        (cto.OpMagnitudePrunerConfig(target_sparsity=0.75, weight_threshold=1), {"bits": 4 + 1, "zeros": 0.75}),
    ],
)  # fmt: skip
def test_compressed_weights_are_read_as_coremltools_stored_them(tmp_path, config, expected):
    module = nn.Linear(64, 64, bias=False).eval()
    plain = convert(module, (torch.rand(1, 64),), TARGET)
    compress = {
        cto.OpPalettizerConfig: cto.palettize_weights,
        cto.OpLinearQuantizerConfig: cto.linear_quantize_weights,
        cto.OpMagnitudePrunerConfig: cto.prune_weights,
    }[type(config)]
    path = tmp_path / "compressed.mlpackage"
    compress(plain, cto.OptimizationConfig(global_config=config)).save(str(path))
    (weight,) = ops_of_package(path).weights.values()
    assert weight.elements == 64 * 64
    assert weight.bytes == pytest.approx(64 * 64 * expected["bits"] / 8, abs=1500)
    assert weight.compressed
    assert weight.linear == expected.get("linear", False)
    assert weight.blocks == expected.get("blocks", False)
    assert weight.table_channels == expected.get("table_channels")
    assert weight.zeros == pytest.approx(expected.get("zeros", 0), abs=0.01)


def flexible(tmp_path):
    shape = ct.Shape((1, ct.RangeDim(1, 64, default=8), 16))
    traced = torch.jit.trace(nn.Linear(16, 32).eval(), torch.rand(1, 8, 16))
    model = ct.convert(traced, inputs=[ct.TensorType(name="x", shape=shape)], minimum_deployment_target=ct.target.iOS17)
    path = tmp_path / "flexible.mlpackage"
    model.save(str(path))
    return path


def test_flexible_shapes_are_predicted_for_a_stated_shape_only(tmp_path):
    path = flexible(tmp_path)
    with pytest.raises(ProgramOpsError, match="state the shape"):
        ops_of_package(path)
    macs = [ops_of_package(path, {"x": (1, n, 16)}).ops.macs for n in (4, 40)]
    assert macs == [4 * 16 * 32, 40 * 16 * 32]
    with pytest.raises(ProgramOpsError, match=r"stated shapes do not fit \(x \(1, 1000, 16\)\)"):
        ops_of_package(path, {"x": (1, 1000, 16)})


def test_what_is_no_ml_program_is_refused(tmp_path):
    legacy = ct.models.neural_network.NeuralNetworkBuilder(
        [("x", ct.models.datatypes.Array(3))], [("y", ct.models.datatypes.Array(3))]
    )
    legacy.add_activation("a", "RELU", "x", "y")
    path = tmp_path / "legacy.mlmodel"
    ct.models.utils.save_spec(legacy.spec, str(path))
    with pytest.raises(PackageError, match="mlProgram is needed"):
        ops_of_package(path)


HALF = np.float16


def built(path, body, shape=(1, 16, 8, 8), target=ct.target.iOS18):
    """The ops of a program of one fp16 input, by name."""

    @mb.program(input_specs=[mb.TensorSpec(shape=shape, dtype=types.fp16)], opset_version=target)
    def program(x):
        return body(x)

    return {op.name: op for op in ops_of_package(save(program, path / "p.mlpackage", target)).ops}


def rounded(x, scale=0.125):
    return decoded(mb.quantize(input=x, scale=HALF(scale), zero_point=np.int8(0), output_dtype="int8"), scale)


def decoded(x, scale=0.125):
    return mb.dequantize(input=x, scale=HALF(scale), zero_point=np.int8(0))


def conv(x, name, channels=16, inputs=16):
    return mb.conv(x=x, weight=random(sum(name.encode()), channels, inputs, 1, 1, dtype=HALF), name=name)


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


def test_a_layer_that_no_op_reads_takes_no_time_and_may_be_named():
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(16, 16), nn.Linear(16, 16)

        def forward(self, x):
            return self.used(x)

    module = Half().eval()
    layers = layers_of(module)
    names = [layer.name for layer in layers]
    ops = ops_of_base_program(base_program(module, (torch.rand(1, 16),), TARGET, names), layers)
    assert ops.layers == ("used", "unused")
    model = prepare_latency(ops, device="M2", unit="CPU_AND_NE")
    assert model.layer_times("unused", Encoding.parse("int4-b8")) == (0.0, 0.0)
    assert model.predict(Configuration({"unused": Encoding.parse("lut4")})).ms == model.predict(Configuration({})).ms


@pytest.mark.parametrize(
    ("target", "expected"), [("iOS16", "iOS16"), ("iOS17", "iOS17"), ("iOS18", "iOS18"), ("iOS15", "iOS16")]
)
def test_the_deployment_target_of_a_package_is_its_formats(tmp_path, target, expected):
    def body(x):
        return mb.linear(x=x, weight=random(1, 16, 16, dtype=np.float32))

    program = mb.program(input_specs=[mb.TensorSpec(shape=(1, 16))], opset_version=getattr(ct.target, target))(body)
    found = ops_of_package(save(program, tmp_path / "p.mlpackage", getattr(ct.target, target)))
    assert found.target is DeploymentTarget(expected)
    (stored,) = found.weights.values()
    assert (stored.elements, stored.compressed) == (16 * 16, False)
    assert dict(found.stored_bytes) == {"fp32": pytest.approx(1024, abs=200)}


def test_ops_in_float32_are_marked_and_move_twice_the_bytes(model, layers, from_base, tmp_path):
    names = [layer.name for layer in layers]
    wide = ops_of_base_program(base_program(model, INPUTS, TARGET, names, float32=["stem", "softmax"]), layers)
    assert not any(op.float32 for op in from_base)
    assert {op.layer or op.kind for op in wide if op.float32} == {"stem", OpKind.SOFTMAX}
    before = {op.layer: op for op in from_base if op.layer}
    after = {op.layer: op for op in wide if op.layer}
    assert after["stem"].activation_bytes == 2 * before["stem"].activation_bytes
    assert after["stem"].macs == before["stem"].macs
    assert after["up"] == before["up"]
    path = tmp_path / "wide.mlpackage"
    convert(model, INPUTS, TARGET, float32=["stem", "softmax"]).save(str(path))
    read = ops_of_package(path).ops
    assert [op.float32 for op in read] == [op.float32 for op in wide]
