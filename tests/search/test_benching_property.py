"""What ``palettune bench`` says of a package is what a search says of its configuration, whatever its layers hold."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.conversion.low_rank import LowRank, add_low_rank
from palettune.device_bench.cost.latency_model import prepare_latency
from palettune.device_bench.cost.op import CostOp, OpKind, OpList
from palettune.device_bench.cost.placement import ComputeUnit
from palettune.device_bench.cost.program_ops import ops_of_base_program, ops_of_package
from palettune.device_bench.model.compressed_weight import install
from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package.stored_weight import StoredWeight
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.device_bench.package_model.quantized_activation import (
    ActivationQuantization,
    quantize_activations,
    roundable,
)
from palettune.evaluators.compression.compression import compress
from palettune.search.on_device.package_latency import predict_latency
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import FP16, Encoding
from palettune.space.layer import Layer
from palettune.space.legality import refusal
from palettune.space.target import DeploymentTarget
from tests.device_bench.networks import NETWORKS
from tests.device_bench.odd_packages import HALF, SINGLE, everything

DEVICES = ("iPhone 15 Pro", "iPhone 13", "M2")  # 8-bit arithmetic, none, and a Mac
ENCODINGS = [
    Encoding.parse(line.split("`")[1])
    for line in (Path(__file__).parents[2] / "docs" / "encodings.md").read_text().splitlines()
    if line.startswith("| `") and line.count("|") == 7  # the table of spellings
]
SLOW = [e for e in ENCODINGS if e.table is not None and e.table.vector > 1]  # a second each, on more than tiny weights
KINDS = {
    "linear": lambda: nn.Linear(32, 64),
    "conv1d": lambda: nn.Conv1d(32, 32, 3),
    "conv2d": lambda: nn.Conv2d(32, 64, 3),
    "grouped": lambda: nn.Conv2d(32, 64, 1, groups=2),
    "depthwise": lambda: nn.Conv2d(32, 32, 3, groups=32),
    "transposed": lambda: nn.ConvTranspose2d(32, 64, 2, stride=2, groups=2),
    "embedding": lambda: nn.Embedding(64, 32),
}


class Menagerie(nn.Module):
    """Layers side by side on one image and one row of tokens; their outputs are reduced and added up."""

    def __init__(self, kinds: list[str]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(KINDS[kind]() for kind in kinds)
        self.head = nn.Linear(64, 8)

    def forward(self, image: Tensor, tokens: Tensor) -> Tensor:
        line = image.flatten(2)
        found = []
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                found.append(functional.gelu(layer(line.transpose(1, 2))).mean())
            elif isinstance(layer, nn.Embedding):
                found.append(layer(tokens).mean())
            else:
                found.append(functional.relu(layer(line if isinstance(layer, nn.Conv1d) else image)).mean())
        return self.head(torch.stack(found).mean() * torch.ones(1, 64))


class Twisted(nn.Module):
    """Weights used twice, transposed, in a product of matrices, tied, computed with before use, or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(40, 32)
        self.twice, self.turned, self.scaled = nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 32)
        self.left, self.right = nn.Linear(32, 64), nn.Linear(32, 64)
        self.unused = nn.Linear(32, 64)
        self.matrix, self.stack = nn.Parameter(torch.randn(32, 32)), nn.Parameter(torch.randn(4, 32, 16))
        self.head = nn.Linear(32, 40, bias=False)
        self.head.weight = self.words.weight

    def forward(self, ids: Tensor) -> tuple[Tensor, ...]:
        x = self.twice(torch.tanh(self.twice(self.words(ids))))
        x = x + x @ self.turned.weight + x @ self.matrix + torch.einsum("btc,dc->btd", x, self.matrix)
        x = functional.linear(x, self.scaled.weight / self.scaled.weight.norm())
        gate = self.left(x) * torch.sigmoid(self.right(x))
        return self.head(x), gate.softmax(-1), x.reshape(4, 2, 32) @ self.stack


def sampled(
    layers: tuple[Layer, ...], target: DeploymentTarget, refused: set[str], takers: set[str], seed: int
) -> Configuration:
    """A legal encoding for each layer, and 8-bit activations for about half of those that may have them."""
    rng = random.Random(seed)
    menus = {
        layer.name: [e for e in ENCODINGS if e not in SLOW and refusal(layer, e, target) is None] for layer in layers
    }
    encodings = {name: FP16 if name in refused else rng.choice(menu) for name, menu in menus.items()}
    rounded = [layer.name for layer in layers if layer.name in takers and not layer.tied and rng.random() < 0.5]
    return Configuration(encodings, dict.fromkeys(rounded, Precision.INT8))


def exported(
    model: nn.Module, inputs: tuple[Tensor, ...], configuration: Configuration, target: DeploymentTarget, path: Path
) -> None:
    """The package of a configuration, as ``palettune export`` writes it."""
    module = copy.deepcopy(model)
    for layer in layers_of(model):
        encoding = configuration.encodings[layer.name]
        install(module, layer, compress(model.get_submodule(layer.name).weight, layer, encoding))
    for name in configuration.activations:
        quantize_activations(module, name, ActivationQuantization(2.0**-5, 128))
    convert(module, inputs, target).save(str(path))


def content(op: CostOp) -> tuple[object, ...]:
    return (op.kind, op.macs, op.weight_shape, op.read_bytes, op.written_bytes, op.matrix_bytes, op.count)


def assert_same(ops: OpList, configuration: Configuration, target: DeploymentTarget, package: Path) -> None:
    """Op by op, weight by weight, and in milliseconds."""
    used = [op for op in ops if op.count]
    found = ops_of_package(package)
    assert list(map(content, found.ops)) == list(map(content, used))
    for op, held in zip(used, found.ops, strict=True):
        if op.weight_shape and op.kind is not OpKind.EMBEDDING:
            encoding = configuration.encodings.get(op.layer or "", FP16)
            asked = op.stored or StoredWeight.of(encoding, op.weight_shape, target, op.float_bits)
            assert held.stored == asked, (op.name, str(encoding))
            rounded = configuration.activations.get(op.layer or "") is Precision.INT8
            assert held.int8 == (rounded or op.int8), op.name
    rows = {row["compute_unit"]: row["predicted_latency_ms"] for row in predict_latency(package, DEVICES[0]).to_json()}
    assert len(rows) == 4
    for unit in ComputeUnit:
        asked = [
            prepare_latency(ops, device=device, unit=unit, target=target).predict(configuration) for device in DEVICES
        ]
        assert rows[unit.value] == pytest.approx(asked[0].ms, rel=1e-9), unit
        held = [prepare_latency(found.ops, device=device, unit=unit, target=found.target) for device in DEVICES]
        assert [model.predict(Configuration({})).ms for model in held] == pytest.approx([one.ms for one in asked])


def check(
    model: nn.Module,
    inputs: tuple[Tensor, ...],
    target: DeploymentTarget,
    path: Path,
    seed: int,
    configuration: Configuration | None = None,
) -> Configuration:
    layers = layers_of(model)
    names = [layer.name for layer in layers]
    base = base_program(model, inputs, target, layers)
    if configuration is None:
        takers = set(roundable(model, inputs, names)) if target.rounds_activations else set()
        configuration = sampled(layers, target, set(base.refusals), takers, seed)
    exported(model, inputs, configuration, target, path)
    assert_same(ops_of_base_program(base, layers), configuration, target, path)
    return configuration


@pytest.fixture(autouse=True)
def one_thread():
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.mark.slow
@pytest.mark.matrix(1)
@pytest.mark.parametrize("target", [DeploymentTarget.IOS16, DeploymentTarget.IOS17, DeploymentTarget.IOS18])
def test_every_encoding_costs_in_a_package_what_it_costs_in_a_search(target, tmp_path):
    rng = np.random.default_rng(target.generation)
    some = {kind: layers_of(nn.Sequential(make()))[0] for kind, make in KINDS.items()}
    kinds, chosen = [], []
    for encoding in ENCODINGS:
        legal = [kind for kind, layer in some.items() if refusal(layer, encoding, target) is None]
        kind = str(rng.choice(legal)) if legal else None
        if kind is not None:
            kinds.append(kind)
            chosen.append(encoding)
    assert len(chosen) >= (40 if target is DeploymentTarget.IOS18 else 12)
    encodings = {f"layers.{i}": encoding for i, encoding in enumerate(chosen)} | {"head": Encoding.parse("int8")}
    takers = [f"layers.{i}" for i, kind in enumerate(kinds) if kind != "embedding" and rng.random() < 0.5] + ["head"]
    rounded = dict.fromkeys(takers if target.rounds_activations else (), Precision.INT8)
    inputs = (torch.rand(1, 32, 8, 8), torch.zeros(1, 5, dtype=torch.int32))
    asked = Configuration(encodings, rounded)
    check(Menagerie(kinds).eval(), inputs, target, tmp_path / "p.mlpackage", 0, asked)


CASES = [
    ("decoder", DeploymentTarget.IOS18),
    ("tied_language_model", DeploymentTarget.IOS16),
    ("recurrent", DeploymentTarget.IOS17),
    ("twisted", DeploymentTarget.IOS18),
]


@pytest.mark.slow
@pytest.mark.matrix(1)
@pytest.mark.parametrize(("name", "target"), CASES)
def test_a_network_costs_in_its_package_what_a_search_predicts(name, target, tmp_path):
    make, example = {**NETWORKS, "twisted": (Twisted, lambda: (torch.zeros(1, 8, dtype=torch.int32),))}[name]
    asked = check(make().eval(), example(), target, tmp_path / "p.mlpackage", len(name))
    assert len(set(map(str, asked.encodings.values()))) > 1


@pytest.mark.matrix(1)
@pytest.mark.parametrize(
    ("dtype", "compressed", "target"),
    [
        (HALF, True, DeploymentTarget.IOS17),
        (SINGLE, True, DeploymentTarget.IOS17),
        (HALF, False, DeploymentTarget.IOS18),
        (SINGLE, False, DeploymentTarget.IOS18),
    ],
)
def test_a_package_as_the_model_costs_the_same_with_its_recurrent_layers_and_odd_products(
    dtype, compressed, target, tmp_path
):
    path = everything(tmp_path / "model.mlpackage", dtype, compressed=compressed)
    model = PackageModule(path)
    assert {"memory.ih", "memory.hh"} <= {layer.name for layer in layers_of(model)}
    check(model, (torch.rand(1, 16, 32),), target, tmp_path / "p.mlpackage", 1)


@pytest.mark.slow
def test_a_branch_beside_a_layer_is_in_the_price_of_its_package(tmp_path):
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32)).eval()
    inputs, target = (torch.rand(1, 9, 64),), DeploymentTarget.IOS18
    layers = layers_of(model)
    plain = ops_of_base_program(base_program(model, inputs, target, layers), layers)
    quantize_activations(model, "0", ActivationQuantization(2.0**-5, 128))
    add_low_rank(model, "0", LowRank(torch.rand(4, 64), torch.rand(64, 4)))
    convert(model, inputs, target).save(str(tmp_path / "p.mlpackage"))
    found = ops_of_package(tmp_path / "p.mlpackage").ops
    assert [(op.macs, op.weight_shape) for op in found if op.weight_shape] == [
        (9 * 64 * 64, (64, 64)), (9 * 64 * 4, (4, 64)), (9 * 4 * 64, (64, 4)), (9 * 64 * 32, (32, 64)),
    ]  # fmt: skip
    assert found.macs == plain.macs + 2 * 9 * 64 * 4
