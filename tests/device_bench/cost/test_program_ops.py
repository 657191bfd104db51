import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil.mil import Builder as mb
from coremltools.optimize import coreml as cto
from torch import nn

from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.cost.latency_model import prepare_latency
from palettune.device_bench.cost.op import OpKind
from palettune.device_bench.cost.program_ops import ops_of_base_program, ops_of_package
from palettune.device_bench.cost.shapes import ShapeBuilder
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package.package import PackageError
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.target import DeploymentTarget
from tests.device_bench.cost.support.programs import (
    INPUTS,
    TARGET,
    WEIGHTED,
    Mixed,
)
from tests.device_bench.odd_packages import random
from tests.device_bench.runtime.support.packages import save


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
    return ops_of_base_program(base_program(model, INPUTS, TARGET, layers), layers)


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
    converted = ops_of_base_program(
        base_program(module, (torch.rand(8, 256),), TARGET, layers_of(module)), layers_of(module)
    )
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


def test_what_is_no_ml_program_is_refused(tmp_path):
    legacy = ct.models.neural_network.NeuralNetworkBuilder(
        [("x", ct.models.datatypes.Array(3))], [("y", ct.models.datatypes.Array(3))]
    )
    legacy.add_activation("a", "RELU", "x", "y")
    path = tmp_path / "legacy.mlmodel"
    ct.models.utils.save_spec(legacy.spec, str(path))
    with pytest.raises(PackageError, match="mlProgram is needed"):
        ops_of_package(path)


def test_a_layer_that_no_op_reads_takes_no_time_and_may_be_named():
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(16, 16), nn.Linear(16, 16)

        def forward(self, x):
            return self.used(x)

    module = Half().eval()
    layers = layers_of(module)
    ops = ops_of_base_program(base_program(module, (torch.rand(1, 16),), TARGET, layers), layers)
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


@pytest.mark.slow
def test_ops_in_float32_are_marked_and_move_twice_the_bytes(model, layers, from_base, tmp_path):
    wide = ops_of_base_program(base_program(model, INPUTS, TARGET, layers, float32=["stem", "softmax"]), layers)
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
