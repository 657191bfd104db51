"""``palettune bench`` at its border: what is predicted, and what is refused."""

import json
import platform
import sys
from dataclasses import replace

import coremltools as ct
import pytest
import torch
from coremltools.optimize import coreml as cto
from coremltools.optimize.torch.quantization import (
    LinearQuantizer,
    LinearQuantizerConfig,
    ModuleLinearQuantizerConfig,
)
from torch import nn

import palettune.device_bench.cost.latency_model as latency_model
from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.cost.latency_model import prepare_latency
from palettune.device_bench.cost.program_ops import ops_of_base_program, ops_of_package
from palettune.device_bench.devices.device import find_device
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.search.command_line.cli import main
from palettune.search.on_device.package_latency import predict_latency
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding
from palettune.space.target import DeploymentTarget
from tests.device_bench.networks import Attention

PHONE = "iPhone 15 Pro"


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "fixed.mlpackage"
    network = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3)).eval()
    convert(network, (torch.zeros(1, 3, 64, 64),), DeploymentTarget("iOS18")).save(str(path))
    return path


@pytest.fixture(scope="module")
def flexible(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "flexible.mlpackage"
    program = torch.jit.trace(nn.Linear(512, 512).eval(), torch.zeros(1, 8, 512))
    shape = ct.Shape((1, ct.RangeDim(1, 64, default=8), 512))
    ct.convert(
        program, inputs=[ct.TensorType("x", shape)], minimum_deployment_target=ct.target.iOS17, convert_to="mlprogram"
    ).save(str(path))
    return path


def bench(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["palettune", "bench", *map(str, words)])
    with pytest.raises(SystemExit) as ending:
        main()
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return ending.value.code, captured.out, captured.err


def test_one_compute_unit_is_shown_where_one_is_asked_for(monkeypatch, capsys, fixed):
    code, out, _ = bench(monkeypatch, capsys, fixed, "--device", "M2", "--unit", "cpu_only", "--json")
    assert code == 0
    assert [row["compute_unit"] for row in json.loads(out)] == ["CPU_ONLY"]


def test_a_flexible_package_is_predicted_for_the_shape_that_is_stated(monkeypatch, capsys, flexible):
    code, _, err = bench(monkeypatch, capsys, flexible, "--device", "M2")
    assert code == 2
    assert "state the shape" in err
    found = {}
    for length in (1, 64):
        words = (flexible, "--device", "M2", "--unit", "CPU_AND_NE", "--json", "--shape", f"x=1x{length}x512")
        code, out, _ = bench(monkeypatch, capsys, *words)
        assert code == 0
        found[length] = json.loads(out)[0]["predicted_latency_ms"]
    assert found[1] < found[64]
    for shape, said in (("x=1x65x512", "do not fit"), ("y=1x8x512", "'y'"), ("x=one", "expected NAME=1x3x224x224")):
        code, _, err = bench(monkeypatch, capsys, flexible, "--device", "M2", "--shape", shape)
        assert code == 2
        assert said in err


def test_what_cannot_be_predicted_is_refused_with_what_to_do(monkeypatch, capsys, fixed, tmp_path):
    builder = ct.models.neural_network.NeuralNetworkBuilder([("x", ct.models.datatypes.Array(3))], [("y", None)])
    builder.add_activation("relu", "RELU", "x", "y")
    old = tmp_path / "old.mlpackage"
    ct.models.MLModel(builder.spec, skip_model_load=True).save(str(old))
    cases = [
        ((fixed, "--device", "iPhone 15 Por"), "did you mean 'iPhone 15 Pro'"),
        ((fixed, "--device", "M2", "--unit", "NPU"), "compute unit 'NPU' is not known"),
        ((fixed,), "--device: say for which device"),
        ((old, "--device", "M2"), "holds a neuralNetwork, an mlProgram is needed"),
        ((tmp_path / "nothing.mlpackage", "--device", "M2"), "no such package"),
    ]
    if platform.system() != "Darwin":
        cases.append(((fixed, "--measure"), "latency is measured on a Mac"))
    for words, said in cases:
        code, _, err = bench(monkeypatch, capsys, *words)
        assert code == 2
        assert said in err


def test_a_compute_unit_that_the_device_lacks_is_refused_or_left_out(monkeypatch, capsys, fixed):
    def without(name):
        device = find_device(name)
        return replace(device, chip=replace(device.chip, lacks=("neural_engine",)))

    monkeypatch.setattr(latency_model, "find_device", without)
    code, _, err = bench(monkeypatch, capsys, fixed, "--device", "M2", "--unit", "CPU_AND_NE")
    assert code == 2
    assert "the device has no neural engine" in err
    code, out, _ = bench(monkeypatch, capsys, fixed, "--device", "M2", "--json")
    assert code == 0
    assert [row["compute_unit"] for row in json.loads(out)] == ["ALL", "CPU_AND_GPU", "CPU_ONLY"]


class Residual(nn.Module):
    """Convolutions with normalizations, a depthwise one, a sum, pools and a classifier; wide enough to take time."""

    def __init__(self, width=256):
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(3, width, 3, stride=2, padding=1), nn.BatchNorm2d(width)
        self.inner, self.inner_norm = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)
        self.pool, self.relu = nn.MaxPool2d(2), nn.ReLU()
        self.depthwise, self.wide = nn.Conv2d(width, width, 3, padding=1, groups=width), nn.Conv2d(width, 2 * width, 3)
        self.head = nn.Linear(2 * width, 10)

    def forward(self, x):
        x = self.relu(self.stem_norm(self.stem(x)))
        x = self.relu(x + self.inner_norm(self.inner(x)))
        x = self.wide(self.depthwise(self.pool(x)))
        return self.head(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


def perceptron():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1024, 2048), nn.ReLU(), nn.Linear(2048, 1024)).eval()


NETWORKS = {
    "convolutional": (lambda: Residual().eval(), lambda: torch.rand(1, 3, 64, 64)),
    "transformer": (lambda: Attention(256).eval(), lambda: torch.rand(1, 128, 256)),
    "perceptron": (perceptron, lambda: torch.rand(1, 256, 1024)),
}


def vendors(network, example, path, target=ct.target.iOS17):
    """A package as coremltools' own documentation makes it."""
    ct.convert(
        torch.jit.trace(network, example),
        inputs=[ct.TensorType("x", example.shape)],
        minimum_deployment_target=target,
        skip_model_load=True,
    ).save(str(path))
    return path


def quantized(network, example, **weights):
    """The network with 8-bit activations, and weights unless told otherwise, by coremltools' own quantizer."""
    config = ModuleLinearQuantizerConfig(quantization_scheme="symmetric", **weights)
    quantizer = LinearQuantizer(network, LinearQuantizerConfig(global_config=config))
    prepared = quantizer.prepare((example,), inplace=False)
    for _ in range(3):
        quantizer.step()
        prepared(example)
    return quantizer.finalize(inplace=False).eval()


def ms(path, unit="CPU_AND_NE", device=PHONE):
    (row,) = predict_latency(path, device, unit=unit).to_json()
    return row["predicted_latency_ms"]


@pytest.mark.slow
@pytest.mark.matrix(1)
@pytest.mark.parametrize("name", NETWORKS)
def test_what_the_vendors_quantizer_made_is_faster_than_its_fp16_form_where_8_bits_are(name, tmp_path):
    make, example = NETWORKS[name]
    network, x = make(), example()
    plain = vendors(network, x, tmp_path / "fp16.mlpackage")
    eight = vendors(quantized(network, x), x, tmp_path / "w8a8.mlpackage")
    alone = vendors(quantized(network, x, weight_dtype=torch.float32), x, tmp_path / "a8.mlpackage")
    assert ms(eight) < 0.9 * ms(plain)
    assert ms(alone) <= ms(plain) * 1.001  # weights in floats are multiplied as floats: nothing gained, nothing lost
    assert ms(alone) > ms(eight)
    for unit, device in (("CPU_AND_GPU", PHONE), ("CPU_ONLY", PHONE), ("ALL", "iPhone 13")):
        assert ms(eight, unit, device) <= ms(plain, unit, device) * 1.001
    (row,) = predict_latency(eight, PHONE, unit="CPU_AND_NE").to_json()
    assert row["int8_activation_layers"] == row["layers"] == len(layers_of(network))
    assert next(iter(row["stored_bytes"])) == "int8"
    (row,) = predict_latency(alone, PHONE, unit="CPU_AND_NE").to_json()
    assert row["int8_activation_layers"] == row["layers"]
    assert "int8" not in row["stored_bytes"]


def searched(network, example, spelling, int8=False, target=DeploymentTarget.IOS18):
    """What a search predicts for one encoding of all layers."""
    layers = layers_of(network)
    ops = ops_of_base_program(base_program(network, (example,), target, layers), layers)
    model = prepare_latency(ops, device=PHONE, unit="CPU_AND_NE", target=target)
    precisions = {layer.name: Precision.INT8 for layer in layers if int8}
    return model.predict(Configuration({layer.name: Encoding.parse(spelling) for layer in layers}, precisions)).ms


@pytest.mark.slow
def test_the_vendors_w8a8_costs_what_a_search_predicts_for_int8_with_8_bit_activations(tmp_path):
    network, x = perceptron(), torch.rand(1, 256, 1024)
    found = ms(vendors(quantized(network, x), x, tmp_path / "p.mlpackage", ct.target.iOS18))
    asked = searched(network, x, "int8", True)
    assert found == pytest.approx(asked, rel=1e-3)
    assert asked < 0.8 * searched(network, x, "fp16")


def table(**words):
    return cto.palettize_weights, cto.OpPalettizerConfig(mode="uniform", weight_threshold=1, **words)


def linear(**words):
    return cto.linear_quantize_weights, cto.OpLinearQuantizerConfig(weight_threshold=1, **words)


PRUNED = (cto.prune_weights, cto.OpMagnitudePrunerConfig(n_m_ratio=(2, 4), weight_threshold=1))
VENDORS = {
    "int8": ([linear()], "int8"),
    "int8 of the tensor": ([linear(granularity="per_tensor")], "int8-tensor"),
    "int4 in blocks": ([linear(dtype="int4", granularity="per_block", block_size=32)], "int4-b32"),
    "lut4": ([table(nbits=4)], "lut4"),
    "lut6 in groups": ([table(nbits=6, granularity="per_grouped_channel", group_size=16)], "lut6-g16"),
    "sparse": ([PRUNED], "sparse2:4"),
    "sparse int8": ([PRUNED, linear()], "sparse2:4+int8"),
    "sparse lut4": ([PRUNED, table(nbits=4)], "sparse2:4+lut4"),
}


@pytest.mark.slow
@pytest.mark.matrix(3)
@pytest.mark.parametrize("name", VENDORS)
def test_weights_that_coremltools_compressed_cost_what_a_search_predicts(name, tmp_path):
    steps, spelling = VENDORS[name]
    network, x = nn.Sequential(nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 512)).eval(), torch.rand(1, 8, 512)
    model = convert(network, (x,), DeploymentTarget.IOS18)
    for step, config in steps:
        joint = {"joint_compression": True} if step is not steps[0][0] else {}
        model = step(model, cto.OptimizationConfig(global_config=config), **joint)
    model.save(str(tmp_path / "p.mlpackage"))
    assert ms(tmp_path / "p.mlpackage") == pytest.approx(searched(network, x, spelling), rel=1e-3)
    family = spelling.split("-")[0].replace("2:4", "50")
    assert next(iter(ops_of_package(tmp_path / "p.mlpackage").stored_bytes)) == family


@pytest.mark.slow
def test_a_search_of_a_quantized_package_predicts_what_the_package_costs(tmp_path):
    network, x = perceptron(), torch.rand(1, 256, 1024)
    for made in (quantized(network, x), quantized(network, x, weight_dtype=torch.float32)):
        path = vendors(made, x, tmp_path / "p.mlpackage")
        model = PackageModule(path)
        layers = layers_of(model)
        base = base_program(model, (x,), DeploymentTarget.IOS17, layers)
        latency = prepare_latency(
            ops_of_base_program(base, layers), device=PHONE, unit="CPU_AND_NE", target=DeploymentTarget.IOS17
        )
        assert latency.predict(Configuration({})).ms == pytest.approx(ms(path), rel=1e-9)
        if layers:  # activations are in 8 bits already: int8 weights are all that is missing
            int8 = Configuration({layer.name: Encoding.parse("int8") for layer in layers})
            asked = searched(network, x, "int8", True, DeploymentTarget.IOS17)
            assert latency.predict(int8).ms == pytest.approx(asked, rel=1e-3)


def test_what_a_package_holds_is_said_in_one_line_and_in_json(monkeypatch, capsys, tmp_path):
    network, x = perceptron(), torch.rand(1, 4, 1024)
    path = vendors(quantized(network, x), x, tmp_path / "p.mlpackage")
    code, out, _ = bench(monkeypatch, capsys, path, "--device", PHONE)
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.startswith("stored: ")]
    assert "stored: int8 4.2" in line
    assert line.endswith("activations in 8 bits at 2 of 2 layers")
    code, out, _ = bench(monkeypatch, capsys, path, "--device", PHONE, "--json")
    for row in json.loads(out):
        assert row["stored_bytes"]["int8"] == pytest.approx(2 * 1024 * 2048, rel=0.01)
        assert (row["layers"], row["int8_activation_layers"]) == (2, 2)
