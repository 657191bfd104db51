from __future__ import annotations

import copy
import json
import random
import shutil
from pathlib import Path

import coremltools as ct
import coremltools.optimize as cto
import numpy as np
import pytest
import torch
from torch import nn

from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.model.compressed_weight import install
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package.package import weights
from palettune.device_bench.proof.proof import ProofError, prove
from palettune.evaluators.compression.compression import compress
from palettune.space.configuration import Configuration
from palettune.space.encoding import FP16, Encoding
from palettune.space.legality import refusal
from palettune.space.target import DeploymentTarget
from tests.device_bench.chain_export import INPUTS, ChainExport
from tests.device_bench.networks import NETWORKS, build
from tests.device_bench.odd_blocks import (
    chain,
)

torch.set_num_threads(1)

_ENCODINGS = {
    DeploymentTarget.IOS16: ["fp16", "lut4", "lut8", "int8", "int8-tensor", "uint8-asym", "sparse50", "sparse2:4"],
    DeploymentTarget.IOS18: [
        *[
            "fp16",
            "lut3",
            "lut4-g8",
            "lut4-g8in",
            "lut2-v2",
            "lut4-scaled",
            "int4",
            "int4-b8",
            "uint4-asym",
            "int8-asym",
        ],
        *["sparse75", "sparse50-kernel", "sparse2:4out"],
    ],
}


class Export:
    """A network assembled in some encodings and saved, with all that a proof needs."""

    def __init__(self, name: str, target: DeploymentTarget, folder: Path, encodings: dict[str, str]) -> None:
        self.module, self.inputs = build(name)
        self.layers, self.target, self.path = layers_of(self.module), target, folder / f"{name}.mlpackage"
        self.encodings = {layer.name: Encoding.parse(encodings.get(layer.name, "fp16")) for layer in self.layers}
        for layer in self.layers:
            part = self.module.get_submodule(layer.name)
            install(self.module, layer, compress(part.weight, layer, self.encodings[layer.name]))
        self.base = base_program(self.module, self.inputs, target, self.layers)
        convert(self.module, self.inputs, target).save(str(self.path))

    def prove(self, path: Path | None = None, **asked: str):
        encodings = {**self.encodings, **{name: Encoding.parse(text) for name, text in asked.items()}}
        configuration = Configuration(encodings)
        return prove(
            path or self.path, self.module, self.inputs, configuration, self.layers, self.target, base=self.base
        )

    def copy(self, folder: Path) -> Path:
        return Path(shutil.copytree(self.path, folder / "damaged.mlpackage"))


def _failed(proof) -> set[str]:
    return {layer.layer for layer in proof.layers if layer.failures}


def _part(path: Path, consumer: str, operand: str, name: str = "val"):
    """The stored part of the operand of the first op whose name holds ``consumer``."""
    for weight in weights(path):
        if any(consumer in used.op and used.operand == operand for used in weight.consumers):
            return next(part for _, key, part in weight.parts() if key == name)
    raise AssertionError(f"no {operand} of {consumer} in {path}")


def _patch(path: Path, *changes: tuple[int, bytes]) -> None:
    with (path / "Data/com.apple.CoreML/weights/weight.bin").open("r+b") as file:
        for offset, data in changes:
            file.seek(offset)
            file.write(data)


def _data(path: Path, part, size: int) -> bytes:
    content = (path / "Data/com.apple.CoreML/weights/weight.bin").read_bytes()
    return content[part.offset[1] + 64 :][:size]


def _flip(path: Path, part, byte: int, bit: int = 0) -> None:
    old = _data(path, part, byte + 1)[byte]
    _patch(path, (part.offset[1] + 64 + byte, bytes([old ^ 1 << bit])))


@pytest.mark.matrix(3)
@pytest.mark.parametrize(
    ("name", "target"),
    [*((name, DeploymentTarget.IOS18) for name in NETWORKS), ("decoder", DeploymentTarget.IOS16)],
)
def test_what_is_exported_as_asked_is_proven(name, target, tmp_path):
    module, _ = build(name)
    chosen = random.Random(name)
    encodings = {}
    for layer in layers_of(module):
        legal = [text for text in _ENCODINGS[target] if refusal(layer, Encoding.parse(text), target) is None]
        encodings[layer.name] = chosen.choice(legal)
    export = Export(name, target, tmp_path, encodings)
    proof = export.prove()
    assert proof.failures == ()
    assert proof.passed
    assert [layer.layer for layer in proof.layers] == [layer.name for layer in export.layers]
    assert json.loads(json.dumps(proof.to_dict()))["passed"] is True
    sizes = sum(-(-layer.bytes // 64) * 64 for layer in proof.layers)
    assert sizes + export.base.rest_bytes == proof.weight_bytes


@pytest.fixture(scope="module")
def conv_net(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conv_net")
    return Export(
        "conv_net", DeploymentTarget.IOS18, folder, {"stem": "lut4", "depthwise": "lut4", "classifier": "int8"}
    )


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twins")
    return Export("twins", DeploymentTarget.IOS18, folder, {"first": "lut4", "second": "lut2", "left": "lut4"})


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Networks in fp16 but for a sparse stem, each exported once."""
    made: dict[str, Export] = {}

    def get(name: str) -> Export:
        if name not in made:
            folder = tmp_path_factory.mktemp("plain")
            made[name] = Export(name, DeploymentTarget.IOS16, folder, {"stem": "sparse50"})
        return made[name]

    return get


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("lut6", "tables of 64 entries"),
        ("lut4-g8", "tables along the axes"),
        ("lut4-v2", "vectors of 2"),
        ("int8", "is stored as lut_to_dense"),
        ("sparse50+lut4", "is stored as lut_to_dense"),
        ("fp16", "fp16 was asked for, it is stored as lut_to_dense"),
    ],
)
def test_another_encoding_than_asked_for_is_caught(conv_net, asked, words):
    proof = conv_net.prove(stem=asked)
    assert _failed(proof) == {"stem"}
    with pytest.raises(ProofError, match=rf"layer 'stem': .*{words}"):
        proof.require(conv_net.path)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("int4", "integers of 4 bits"),
        ("int8-tensor", "scales along the axes"),
        ("int8-b8", "scales along the axes"),
        ("uint8", "unsigned integers"),
    ],
)
def test_another_linear_quantization_than_asked_for_is_caught(conv_net, asked, words):
    proof = conv_net.prove(classifier=asked)
    assert _failed(proof) == {"classifier"}
    assert words in proof.failures[0]


@pytest.mark.parametrize("asked", ["sparse75", "sparse2:4", "sparse50-kernel", "sparse50-b4", "sparse50-channel"])
def test_missing_sparsity_is_caught(asked, plain):
    assert plain("conv_net").prove().passed
    proof = plain("conv_net").prove(stem=asked)
    assert _failed(proof) == {"stem"}
    assert "zero" in proof.failures[0]


def test_a_layer_left_in_fp16_is_caught(conv_net, tmp_path):
    skipped = copy.deepcopy(conv_net.module)
    (layer,) = [layer for layer in conv_net.layers if layer.name == "depthwise"]
    install(skipped, layer, compress(skipped.depthwise.weight, layer, FP16))
    convert(skipped, conv_net.inputs, conv_net.target).save(str(tmp_path / "skipped.mlpackage"))
    proof = conv_net.prove(tmp_path / "skipped.mlpackage")
    assert _failed(proof) == {"depthwise"}
    assert "lut4 was asked for, it is stored as plain fp16" in proof.failures[0]


def test_swapped_tables_are_caught(conv_net, tmp_path):
    path = conv_net.copy(tmp_path)
    first, second = (_part(path, op, "weight", "lut") for op in ("conv2d_cast", "conv2d_1"))
    table = [_data(path, part, 32) for part in (first, second)]
    assert table[0] != table[1]
    _patch(path, (first.offset[1] + 64, table[1]), (second.offset[1] + 64, table[0]))
    assert _failed(conv_net.prove(path)) == {"stem", "depthwise"}


def test_a_flipped_index_is_caught(conv_net, tmp_path):
    path = conv_net.copy(tmp_path)
    _flip(path, _part(path, "conv2d_cast", "weight", "indices"), byte=7)
    proof = conv_net.prove(path)
    assert _failed(proof) == {"stem"}
    assert "1 of 432 decoded values" in proof.failures[0]


def test_any_flipped_bit_of_the_data_is_caught(conv_net, tmp_path):
    chosen = random.Random(0)
    path = conv_net.copy(tmp_path)
    clean = (path / "Data/com.apple.CoreML/weights/weight.bin").read_bytes()
    parts = [part for weight in weights(path) for _, _, part in weight.parts() if part.offset]
    for part in parts:
        size = part.value.size * part.bits // 8
        _flip(path, part, chosen.randrange(size), chosen.choice([2, 3, 7]))
        assert not conv_net.prove(path).passed, part
        _patch(path, (0, clean))
    assert conv_net.prove(path).passed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "consumer", "operand"),
    [
        ("conv_net", "conv2d_1", "bias"),
        ("conv_net", "batch_norm", "variance"),
        ("conv_net", "batch_norm", "gamma"),
        ("language_model", "layer_norm", "beta"),
        ("language_model", "mul", "x"),
        ("recurrent", "lstm", "weight_hh"),
    ],
)
def test_a_change_outside_the_layers_is_caught_and_named(network, consumer, operand, plain, tmp_path):
    path = plain(network).copy(tmp_path)
    part = next(
        next(iter(weight.parts()))[2]
        for weight in weights(path)
        for used in weight.consumers
        if consumer in (used.kind, used.op.removesuffix("_cast_fp16")) and used.operand == operand
    )
    _flip(path, part, byte=1, bit=1)
    proof = plain(network).prove(path)
    assert not _failed(proof)
    assert len(proof.rest) == 1
    assert f"'{operand}' is not that of the model" in proof.rest[0]


def _edit(path: Path, change) -> None:
    spec = ct.models.utils.load_spec(str(path))
    function = spec.mlProgram.functions["main"]
    change(function.block_specializations[function.opset].operations)
    file = path / "Data/com.apple.CoreML/model.mlmodel"
    file.write_bytes(spec.SerializeToString())


def test_a_change_of_the_graph_is_caught(conv_net, tmp_path):
    path = conv_net.copy(tmp_path)

    def reroute(operations):
        relu = next(op for op in operations if op.type == "relu")
        norms = [op for op in operations if op.type == "batch_norm"]
        norms[1].inputs["x"].arguments[0].name = relu.inputs["x"].arguments[0].name

    _edit(path, reroute)
    proof = conv_net.prove(path)
    assert not _failed(proof)
    assert "batch_norm): 'x' is not that of the model" in proof.rest[0]


def test_a_weight_in_the_program_itself_is_checked_too(tmp_path):
    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x)

    module, inputs, path = Tiny().eval(), (torch.ones(1, 3),), tmp_path / "tiny.mlpackage"
    convert(module, inputs, DeploymentTarget.IOS16).save(str(path))
    asked = (Configuration({"layer": FP16}), layers_of(module), DeploymentTarget.IOS16)
    assert prove(path, module, inputs, *asked).passed

    def change(operations):
        weight = next(op for op in operations if op.type == "const" and "weight" in op.outputs[0].name)
        value = weight.attributes["val"].immediateValue.tensor.bytes
        value.values = np.float16(5).tobytes() + value.values[2:]

    _edit(path, change)
    proof = prove(path, module, inputs, *asked)
    assert _failed(proof) == {"layer"}
    assert "first at (0, 0): 5 instead of" in proof.failures[0]


def test_equal_layers_are_told_apart_by_the_graph(twins):
    assert twins.prove().passed
    assert _failed(twins.prove(first="lut2", second="lut4")) == {"first", "second"}
    assert _failed(twins.prove(left="fp16", right="lut4")) == {"left", "right"}


@pytest.mark.slow
def test_the_damage_that_coremltools_does_to_a_layer_it_skips_is_caught(tmp_path):
    """``enable_per_channel_scale`` divides the weight by its scales before it finds that the group does not divide."""
    export = Export("perceptron", DeploymentTarget.IOS18, tmp_path, {})
    settings = cto.coreml.OpPalettizerConfig(
        nbits=4, granularity="per_grouped_channel", group_size=5, enable_per_channel_scale=True, weight_threshold=400
    )
    config = cto.coreml.OptimizationConfig(global_config=settings)
    damaged = tmp_path / "damaged.mlpackage"
    cto.coreml.palettize_weights(convert(export.module, export.inputs, export.target), config).save(str(damaged))
    (hidden,) = [weight for weight in weights(damaged) if weight.shape == (36, 24)]
    assert not hidden.chain
    assert float(np.abs(hidden.value).max()) == 1.0
    proof = export.prove(damaged)
    assert _failed(proof) == {"hidden"}
    assert "decoded values are not the assembled ones" in proof.failures[0]
    assert "is stored as plain fp16" in export.prove(damaged, hidden="lut4-g4-scaled").failures[0]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A package with refused layers of several kinds beside two layers of one shape."""
    export = ChainExport(chain("Plain", "Equalized", "Codebook", "Twice"))
    encodings = {"plain.linear": Encoding.parse("lut4"), "twice.linear": Encoding.parse("int8")}
    path = tmp_path_factory.mktemp("exported") / "model.mlpackage"
    module = export.assemble(encodings)
    convert(module, INPUTS, export.target).save(str(path))
    return export, module, encodings, path


def _prove(exported, path, module=None):
    export, assembled, encodings, _ = exported
    configuration = Configuration(encodings)
    return prove(path, module or assembled, INPUTS, configuration, export.layers, export.target, base=export.base)


def _part(path: Path, consumer: str, operand: str, name: str):
    for weight in weights(path):
        if any(consumer in used.op and used.operand == operand for used in weight.consumers):
            return next(part for _, key, part in weight.parts() if key == name)
    raise AssertionError(f"no {operand} of {consumer}")


@pytest.mark.parametrize(
    ("consumer", "operand", "part", "words"),
    [
        ("linear_0", "weight", "indices", "layer 'plain.linear': 1 of 1024 decoded values"),
        ("linear_3", "weight", "scale", "layer 'twice.linear'"),
        ("linear_1", "weight", "val", "op 'linear_1_cast_fp16' (linear): 'weight' is not that of the model"),
        ("embedding", "x", "val", "(gather): 'x' is not that of the model"),
        ("sub", "y", "val", "op 'sub_cast_fp16' (sub): 'y' is not that of the model"),
    ],
)
def test_a_fault_in_a_layer_or_in_what_is_made_of_a_refused_one_is_named(
    exported, consumer, operand, part, words, tmp_path
):
    path = Path(shutil.copytree(exported[-1], tmp_path / "damaged.mlpackage"))
    assert _prove(exported, path).passed
    found = _part(path, consumer, operand, part)
    with (path / "Data/com.apple.CoreML/weights/weight.bin").open("r+b") as file:
        file.seek(found.offset[1] + 65)
        byte = file.read(1)[0]
        file.seek(found.offset[1] + 65)
        file.write(bytes([byte ^ 4]))
    proof = _prove(exported, path)
    assert len(proof.failures) == 1
    assert words in proof.failures[0]


def test_two_layers_with_each_others_weights_are_named(exported, tmp_path):
    export, module, encodings, _ = exported
    swapped = copy.deepcopy(module)
    for name, other in (("plain", "twice"), ("twice", "plain")):
        layer = next(layer for layer in export.layers if layer.name == f"{name}.linear")
        install(swapped, layer, compress(module.get_submodule(f"{other}.linear").weight, layer, encodings[layer.name]))
    path = tmp_path / "swapped.mlpackage"
    convert(swapped, INPUTS, export.target).save(str(path))
    failed = {layer.layer for layer in _prove(exported, path).layers if layer.failures}
    assert failed == {"plain.linear", "twice.linear"}
