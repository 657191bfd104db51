from __future__ import annotations

import copy
import random

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from palettune.device_bench.conversion.base_program import BaseProgram, base_program, record
from palettune.device_bench.conversion.conversion import ConversionError, convert
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package.package import weight_bytes
from palettune.device_bench.package.program_graph import program_nodes
from palettune.space.target import DeploymentTarget
from tests.device_bench.chain_export import CHOICES, INPUTS, ChainExport
from tests.device_bench.networks import NETWORKS, build, compress_layers, layer_names
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


def _convert(module, inputs, target, folder):
    path = folder / "model.mlpackage"
    convert(module, inputs, target).save(str(path))
    return path, program_nodes(path)


def _layer_bytes(base: BaseProgram, nodes) -> int:
    """Bytes of the layers' weights in a package, each entry padded."""
    entries = {}
    for places in base.places.values():
        for place in places:
            weight = nodes[place.node].operands[place.operand][place.position]
            entries.update({part.offset: -(-part.bytes // 64) * 64 for *_, part in weight.parts() if part.offset})
    return sum(entries.values())


@pytest.mark.slow
@pytest.mark.matrix(2)
@pytest.mark.parametrize(
    ("name", "target", "share"),
    [*((name, "iOS18", 0.5) for name in NETWORKS), ("conv_net", "iOS16", 1.0), ("tied_language_model", "iOS18", 0.0)],
)
def test_nothing_but_the_layers_weights_depends_on_the_configuration(name, target, share, tmp_path):
    module, inputs = build(name)
    names = layer_names(module)
    base = base_program(module, inputs, target, layers_of(module))
    assert not base.refusals
    chosen = random.Random(name)
    assembled = compress_layers(copy.deepcopy(module), [layer for layer in names if chosen.random() < share])
    path, nodes = _convert(assembled, inputs, target, tmp_path)
    records = [record(node, index, base.layer_at).content for index, node in enumerate(nodes)]
    assert records == [kept.content for kept in base.records]
    assert base.rest_bytes + _layer_bytes(base, nodes) == weight_bytes(path)


@pytest.mark.slow
def test_an_assembled_module_has_the_base_of_the_float_one():
    module, inputs = build("decoder")
    names = layer_names(module)
    digest = base_program(module, inputs, "iOS17", layers_of(module)).digest
    assert base_program(compress_layers(module, names), inputs, "iOS17", layers_of(module)).digest == digest


@pytest.mark.slow
def test_the_digest_tells_another_bias_and_another_op():
    module, inputs = build("conv_net")
    digest = base_program(module, inputs, "iOS16", layers_of(module)).digest
    with torch.no_grad():
        module.depthwise.bias[3] += 1e-2
    changed = base_program(module, inputs, "iOS16", layers_of(module)).digest
    module.depthwise.stride = (2, 2)
    strided = base_program(module, inputs, "iOS16", layers_of(module)).digest
    assert len({digest, changed, strided}) == 3


@pytest.mark.slow
def test_a_tied_weight_has_two_places():
    module, inputs = build("tied_language_model")
    base = base_program(module, inputs, "iOS18", layers_of(module))
    assert {base.records[place.node].kind for place in base.places["embedding"]} == {"gather", "linear"}
    compress_layers(module, ["embedding"])
    assert base_program(module, inputs, "iOS18", layers_of(module)).digest == base.digest


@pytest.mark.slow
def test_a_file_that_ends_with_a_layer_is_said_to(tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 7, 3, bias=False)).eval()
    inputs = (torch.randn(1, 3, 6, 6),)
    base = base_program(module, inputs, "iOS18", layers_of(module))
    path, nodes = _convert(module, inputs, "iOS18", tmp_path)
    assert base.ends_with_layer
    assert base.rest_bytes == 64
    assert 0 < base.rest_bytes + _layer_bytes(base, nodes) - weight_bytes(path) < 64


class Unusual(nn.Module):
    """Weights that are used otherwise than by their own layers."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Linear(16, 16)
        self.turned = nn.Linear(16, 16, bias=False)
        self.scaled = nn.Linear(16, 16)
        self.idle = nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.plain(x) @ self.turned.weight.t() + self.turned.weight[0]
        return functional.linear(x, self.scaled.weight * 2, self.scaled.bias)


@pytest.mark.slow
def test_weights_that_cannot_be_compressed_are_refused_with_the_reason(tmp_path):
    torch.manual_seed(0)
    module, inputs = Unusual().eval(), (torch.randn(1, 16),)
    base = base_program(module, inputs, "iOS18", layers_of(module))
    assert base.refusals.keys() == {"turned", "scaled", "idle"}
    assert "unused, or replaced by a value computed from it" in base.refusals["idle"]
    path, nodes = _convert(compress_layers(copy.deepcopy(module), ["plain"]), inputs, "iOS18", tmp_path)
    records = [record(node, index, base.layer_at).content for index, node in enumerate(nodes)]
    assert len(records) == len(base.records)
    assert base.places["plain"][0].operand == "weight"
    assert base.rest_bytes + _layer_bytes(base, nodes) == weight_bytes(path)


@pytest.mark.slow
@pytest.mark.matrix(1)
@pytest.mark.parametrize("seed", range(12))
def test_bytes_are_exact_and_proven_whatever_is_done_with_weights(seed, tmp_path):
    module = random_chain(seed)
    export = ChainExport(module, DeploymentTarget.IOS16 if seed % 5 == 0 else DeploymentTarget.IOS18)
    assert set(export.base.refusals) == module.refused
    chosen = random.Random(seed)
    export.check({layer.name: CHOICES[0] for layer in export.layers}, tmp_path / "fp16.mlpackage")
    export.check({layer.name: chosen.choice(CHOICES) for layer in export.layers}, tmp_path / "mixed.mlpackage")


@pytest.mark.matrix(3)
@pytest.mark.parametrize(
    ("block", "layer", "words"),
    [
        ("Idle", "pooler", "not in the converted program: unused"),
        ("Idle", "aux", "not in the converted program: unused"),
        ("Equalized", "linear", "(mul) computes with its weight before use"),
        ("Codebook", "codes", "(mul) computes with its weight before use"),
        ("Modulated", "conv", "operand 'x' of mul, which is not a weight operand"),
        ("Frozen", "positions", "(reduce_mean) computes with its weight before use"),
    ],
)
def test_the_reason_says_what_is_done_with_the_weight(block, layer, words):
    found = ChainExport(chain("Plain", block)).base
    assert words in found.refusals[f"{block.lower()}.{layer}"]
    assert f"{block.lower()}.{layer}" not in found.places
    assert "plain.linear" in found.places


@pytest.mark.slow
@pytest.mark.matrix(2)
@pytest.mark.parametrize("block", [Gates, Inverse, Shifted, CastCodebook])
def test_weights_that_the_front_end_itself_computes_with_are_found(block, tmp_path):
    torch.manual_seed(0)
    module = Chain(Plain, block).eval()
    export = ChainExport(module)
    assert set(export.base.refusals) == module.refused
    export.check({layer.name: CHOICES[1] for layer in export.layers}, tmp_path / "model.mlpackage")


@pytest.mark.slow
def test_an_unused_layer_costs_nothing(tmp_path):
    without, with_idle = ChainExport(chain("Plain")), ChainExport(chain("Idle"))
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
        base_program(Unknown().eval(), INPUTS, DeploymentTarget.IOS18)
