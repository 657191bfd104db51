"""Ops kept in float32: what a pattern matches, and that bytes and proof stay exact whatever the encodings."""

import random

import pytest
import torch
from torch import nn

from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.conversion.float32_ops import UnmatchedPatternError
from palettune.device_bench.model.compressed_weight import install
from palettune.device_bench.model.layer_weight import layer_weight
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package.op_modules import op_modules
from palettune.device_bench.package.package import weight_bytes
from palettune.device_bench.proof.proof import prove
from palettune.device_bench.runtime import as_stored, check_precision, compare
from palettune.device_bench.runtime.program_file import read_program_file
from palettune.device_bench.runtime.values import is_half
from palettune.evaluators.compression.compression import compress
from palettune.space.configuration import Configuration
from palettune.space.encoding import FP16, Encoding
from palettune.space.footprint import configuration_bytes
from palettune.space.legality import refusal
from palettune.space.target import DeploymentTarget
from tests.device_bench.networks import build

IOS16, IOS18 = DeploymentTarget.IOS16, DeploymentTarget.IOS18


def kept(path):
    """Names of the ops that compute in float32."""
    ops = read_program_file(path).function.operations
    apart = [op for op in ops if op.op_type not in ("const", "cast") and not op.op_type.startswith("constexpr_")]
    return {op.name for op in apart if not any(is_half(output.sym_type) for output in op.outputs)}


def export(module, inputs, patterns, folder, encodings=None, target=IOS18):
    """A package with its proof, and the bytes predicted and real."""
    base = base_program(module, inputs, target, float32=patterns)
    layers = base.layers
    configuration = Configuration({layer.name: (encodings or {}).get(layer.name, FP16) for layer in layers})
    for layer in layers:
        install(
            module,
            layer,
            compress(layer_weight(module, layer), layer, configuration.encodings[layer.name]),
        )
    path = folder / "net.mlpackage"
    package = convert(module, inputs, target, float32=patterns)
    package.save(str(path))
    proof = prove(path, module, inputs, configuration, layers, target, base=base)
    nonzero = {
        layer.name: int(layer_weight(module, layer).count_nonzero())
        for layer in layers
        if configuration.encodings[layer.name].sparsity is not None
    }
    predicted = base.rest_bytes + configuration_bytes(layers, configuration, target, nonzero)
    return path, package, proof, predicted, base


class Overflow(nn.Module):
    """The layer in the middle overflows in fp16, and the normalization behind it brings it back."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.wide, self.last = nn.Linear(32, 48), nn.Linear(48, 64), nn.Linear(64, 16)
        self.norm = nn.LayerNorm(64)
        with torch.no_grad():
            self.wide.weight.mul_(4e5)

    def forward(self, x):
        return self.last(self.norm(self.wide(torch.relu(self.first(x)))))


def samples(rows=2):
    return [(torch.randn(rows, 32, generator=torch.Generator().manual_seed(seed)),) for seed in range(3)]


@pytest.mark.slow
def test_the_mend_that_a_check_names_mends_and_is_proven(tmp_path):
    (tmp_path / "half").mkdir()
    path, package, *_ = export(Overflow().eval(), samples(1)[0], (), tmp_path / "half")
    check = check_precision(path, samples(), modules=op_modules(package))
    assert check.failed
    assert check.cause.module == "wide"
    module = Overflow().eval()
    encodings = {"first": Encoding.parse("int8"), "wide": Encoding.parse("lut4-g8"), "last": Encoding.parse("lut6")}
    path, _, proof, predicted, base = export(module, samples(1)[0], check.cause.patterns, tmp_path, encodings)
    assert base.float32 == {"wide"}
    assert proof.passed, proof.failures
    assert weight_bytes(path) == predicted
    after = check_precision(path, samples(), reference=module)
    assert not after.failed
    assert not after.warned
    assert compare(path, as_stored(module), samples()).passed


_CHOICES = {
    IOS16: ["fp16", "lut4", "lut8", "int8", "int8-tensor", "uint8-asym", "sparse50"],
    IOS18: [
        "fp16",
        "lut3",
        "lut4-g8",
        "lut2-v2",
        "lut4-scaled",
        "int4",
        "int4-b8",
        "uint4-asym",
        "int8",
        "sparse75",
        "sparse50+lut4",
    ],
}


@pytest.mark.slow
@pytest.mark.matrix(3)
@pytest.mark.parametrize("seed", range(1))
@pytest.mark.parametrize("target", [IOS16, IOS18], ids=str)
@pytest.mark.parametrize(
    "network", ["conv_net", "decoder", "language_model", "tied_language_model", "recurrent", "twins", "perceptron"]
)
def test_bytes_and_proof_are_exact_with_some_ops_in_float32(network, target, seed, tmp_path):
    module, inputs = build(network)
    layers = layers_of(module)
    chance = random.Random(f"{network}{target}{seed}")
    patterns = tuple(layer.name for layer in layers if chance.random() < 0.5) or (layers[0].name,)
    legal = {
        layer.name: [e for e in map(Encoding.parse, _CHOICES[target]) if refusal(layer, e, target) is None]
        for layer in layers
    }
    encodings = {name: chance.choice(choices) for name, choices in legal.items()}
    path, _, proof, predicted, base = export(module, inputs, patterns, tmp_path, encodings, target)
    assert base.float32
    assert proof.passed, proof.failures
    slack = 63 if base.ends_with_layer else 0
    assert 0 <= predicted - weight_bytes(path) <= slack


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("wide", {"linear_1"}),
        ("linear_1", {"linear_1"}),
        ("linear_1_cast_fp16", {"linear_1"}),
        ("linear", {"linear_0", "linear_1", "linear_2"}),
        ("layer_norm", {"layer_norm"}),
        ("[wn]*", {"linear_1", "layer_norm"}),
    ],
)
def test_a_pattern_matches_modules_ops_and_types(pattern, names, tmp_path):
    path = tmp_path / "net.mlpackage"
    convert(Overflow().eval(), samples(1)[0], IOS18, float32=[pattern]).save(str(path))
    assert kept(path) == names


@pytest.mark.slow
@pytest.mark.parametrize("traced", [False, True], ids=["exported", "traced"])
def test_a_pattern_matches_all_within_a_module(traced, tmp_path, monkeypatch):
    if traced:
        monkeypatch.setattr("palettune.device_bench.conversion.conversion._exported", lambda *_: 1 / 0)
    module, inputs = build("language_model")
    path = tmp_path / "net.mlpackage"
    package = convert(module, inputs, IOS18, float32=["blocks.0"])
    package.save(str(path))
    modules = op_modules(package)
    assert {"blocks.0", "blocks.0.query", "blocks.0.norm1", "norm", "head"} <= set(modules.values())
    assert kept(path) >= {
        name for name, module in modules.items() if module.split(".")[0] == "blocks" and "add" in name
    }
    within = [name for name in kept(path) if modules.get(name, "").startswith("blocks.0")]
    assert len(within) > 15
    assert not [name for name in kept(path) if modules.get(name) in ("norm", "head")]


def test_modules_of_equal_names_are_told_apart(tmp_path, monkeypatch):
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = nn.ModuleList([nn.Linear(8, 8)]), nn.ModuleList([nn.Linear(8, 8)])

        def forward(self, x):
            return self.right[0](torch.relu(self.left[0](x)))

    monkeypatch.setattr("palettune.device_bench.conversion.conversion._exported", lambda *_: 1 / 0)
    modules = op_modules(convert(Pair().eval(), (torch.randn(1, 8),), IOS18))
    assert {"left.0", "right.0"} <= set(modules.values())


@pytest.mark.slow
def test_a_tied_weight_keeps_all_its_ops(tmp_path):
    module, inputs = build("tied_language_model")
    path = tmp_path / "net.mlpackage"
    convert(module, inputs, IOS18, float32=["head"]).save(str(path))
    types = {op.name: op.op_type for op in read_program_file(path).function.operations}
    assert {types[name] for name in kept(path)} >= {"gather", "linear"}


@pytest.mark.slow
def test_a_pattern_that_matches_nothing_names_what_there_is():
    with pytest.raises(UnmatchedPatternError, match=r"'wode' matches no module.*first, wide.*layer_norm.*'wide'"):
        convert(Overflow().eval(), samples(1)[0], IOS18, float32=["first", "wode"])
    with pytest.raises(UnmatchedPatternError, match="'wode'"):
        base_program(Overflow().eval(), samples(1)[0], IOS18, float32=["wode"])


def test_no_pattern_changes_nothing(tmp_path):
    path = tmp_path / "net.mlpackage"
    convert(Overflow().eval(), samples(1)[0], IOS18, float32=()).save(str(path))
    assert kept(path) == set()
