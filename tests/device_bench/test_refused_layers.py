"""Layers whose weights are unused, computed with, or used in several ways: which are refused, why, and exact bytes."""

from __future__ import annotations

import copy
import random
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.conversion.compressed_weight import install
from palettune.device_bench.conversion.conversion import ConversionError, convert
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package.package import weight_bytes, weights
from palettune.device_bench.proof.proof import prove
from palettune.evaluators.compression.compression import compress
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.footprint import configuration_bytes
from palettune.space.target import DeploymentTarget
from tests.device_bench.odd_blocks import (
    WIDTH,
    CastCodebook,
    Chain,
    Gates,
    Inverse,
    Plain,
    Shifted,
    chain,
    random_chain,
)

torch.set_num_threads(1)

_INPUTS = (torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(1)),)
_CHOICES = [Encoding.parse(text) for text in ("fp16", "lut4", "lut8", "int8")]


class Export:
    """A chain with its base program, and packages of it."""

    def __init__(self, module: nn.Module, target: DeploymentTarget = DeploymentTarget.IOS18) -> None:
        self.module, self.target = module, target
        found = layers_of(module)
        self.base = base_program(module, _INPUTS, target, [layer.name for layer in found])
        self.layers = [layer for layer in found if layer.name not in self.base.refusals]

    def assemble(self, encodings: dict[str, Encoding]) -> nn.Module:
        module = copy.deepcopy(self.module)
        for layer in self.layers:
            install(module, layer.name, compress(module.get_submodule(layer.name), layer, encodings[layer.name]))
        return module

    def check(self, encodings: dict[str, Encoding], path: Path) -> None:
        module, configuration = self.assemble(encodings), Configuration(encodings)
        convert(module, _INPUTS, self.target).save(str(path))
        proof = prove(path, module, _INPUTS, configuration, self.layers, self.target, base=self.base)
        assert proof.failures == ()
        assert not self.base.ends_with_layer
        assert self.base.rest_bytes + configuration_bytes(self.layers, configuration, self.target) == weight_bytes(path)


@pytest.mark.matrix(2)
@pytest.mark.parametrize("seed", range(12))
def test_bytes_are_exact_and_proven_whatever_is_done_with_weights(seed, tmp_path):
    module = random_chain(seed)
    export = Export(module, DeploymentTarget.IOS16 if seed % 5 == 0 else DeploymentTarget.IOS18)
    assert set(export.base.refusals) == module.refused
    chosen = random.Random(seed)
    export.check({layer.name: _CHOICES[0] for layer in export.layers}, tmp_path / "fp16.mlpackage")
    export.check({layer.name: chosen.choice(_CHOICES) for layer in export.layers}, tmp_path / "mixed.mlpackage")


@pytest.mark.matrix(3)
@pytest.mark.parametrize(
    ("block", "layer", "words"),
    [
        ("Idle", "pooler", "not in the converted program: unused"),
        ("Idle", "aux", "not in the converted program: unused"),
        ("Equalized", "linear", "(mul) computes with its weight before use"),
        ("Codebook", "codes", "(mul) computes with its weight before use"),
        ("Modulated", "conv", "used as it is by op"),
        ("Frozen", "positions", "(gather) computes with its weight before use"),
        ("OnlyTurned", "linear", "(transpose) computes with its weight before use"),
        ("ReplacedNan", "linear", "more than once"),
    ],
)
def test_the_reason_says_what_is_done_with_the_weight(block, layer, words):
    found = Export(chain("Plain", block)).base
    assert words in found.refusals[f"{block.lower()}.{layer}"]
    assert f"{block.lower()}.{layer}" not in found.places
    assert "plain.linear" in found.places


@pytest.mark.matrix(2)
@pytest.mark.parametrize("block", [Gates, Inverse, Shifted, CastCodebook])
def test_weights_that_the_front_end_itself_computes_with_are_found(block, tmp_path):
    torch.manual_seed(0)
    module = Chain(Plain, block).eval()
    export = Export(module)
    assert set(export.base.refusals) == module.refused
    export.check({layer.name: _CHOICES[1] for layer in export.layers}, tmp_path / "model.mlpackage")


def test_an_unused_layer_costs_nothing(tmp_path):
    without, with_idle = Export(chain("Plain")), Export(chain("Idle"))
    assert without.base.rest_bytes == with_idle.base.rest_bytes
    assert [layer.name for layer in with_idle.layers] == ["idle.linear"]


def test_a_model_that_does_not_convert_at_all_says_so():
    class Unknown(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(WIDTH, WIDTH)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.special.i0(self.linear(x))

    with pytest.raises(ConversionError, match="does not convert"):
        base_program(Unknown().eval(), _INPUTS, DeploymentTarget.IOS18, ["linear"])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A package with refused layers of several kinds beside two layers of one shape."""
    export = Export(chain("Plain", "Equalized", "Codebook", "Twice"))
    encodings = {"plain.linear": Encoding.parse("lut4"), "twice.linear": Encoding.parse("int8")}
    path = tmp_path_factory.mktemp("exported") / "model.mlpackage"
    module = export.assemble(encodings)
    convert(module, _INPUTS, export.target).save(str(path))
    return export, module, encodings, path


def _prove(exported, path, module=None):
    export, assembled, encodings, _ = exported
    configuration = Configuration(encodings)
    return prove(path, module or assembled, _INPUTS, configuration, export.layers, export.target, base=export.base)


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
        install(swapped, layer.name, compress(module.get_submodule(f"{other}.linear"), layer, encodings[layer.name]))
    path = tmp_path / "swapped.mlpackage"
    convert(swapped, _INPUTS, export.target).save(str(path))
    failed = {layer.layer for layer in _prove(exported, path).layers if layer.failures}
    assert failed == {"plain.linear", "twice.linear"}
