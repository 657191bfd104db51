"""Every documented encoding, through a real package and back; the table in the documentation agrees with the code."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from experiments.benchmarks.random_layers import layer_of, package
from palettune.device_bench.proof.package_encoding import differences
from palettune.evaluators.compression.compression import compress
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding, Family
from palettune.space.encoding_spelling import common_spellings
from palettune.space.footprint import layer_bytes, stored_bits
from palettune.space.layer import Layer, LayerKind
from palettune.space.legality import refusal
from palettune.space.target import DeploymentTarget

DOCUMENT = Path(__file__).parents[2] / "docs" / "encodings.md"
REFERENCE = Layer("reference", LayerKind.CONV2D, (256, 256, 3, 3))
MODULES = {
    "linear": lambda: nn.Linear(64, 48),
    "conv1d": lambda: nn.Conv1d(32, 32, 3),
    "conv2d": lambda: nn.Conv2d(32, 32, 2),
    "grouped": lambda: nn.Conv2d(64, 32, 3, groups=2),
    "depthwise": lambda: nn.Conv2d(32, 32, 3, groups=32),
    "conv_transpose2d": lambda: nn.ConvTranspose2d(32, 32, 2),
    "embedding": lambda: nn.Embedding(64, 64),
}


@functools.cache
def documented() -> dict[str, tuple[str, str, str, str, str]]:
    lines = DOCUMENT.read_text().partition("| encoding | coremltools call |")[2].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[: lines.index("")]]
    return {row[0].strip("`"): tuple(row[1:]) for row in cells}


@functools.cache
def first_target(spelling: str) -> DeploymentTarget:
    targets = (DeploymentTarget.IOS16, DeploymentTarget.IOS17, DeploymentTarget.IOS18)
    return next(target for target in targets if refusal(REFERENCE, Encoding.parse(spelling), target) is None)


def test_the_table_has_every_kind_of_encoding() -> None:
    encodings = [Encoding.parse(spelling) for spelling in documented()]
    assert [str(encoding) for encoding in encodings] == list(documented())
    assert {e.family for e in encodings} == set(Family)
    tables, linears = [e.table for e in encodings if e.table], [e.linear for e in encodings if e.linear]
    for known in map(Encoding.parse, common_spellings()):
        if known.table:
            assert any(t.bits == known.table.bits for t in tables)
            for field in ("axis", "vector", "entries", "scaled"):
                assert any(getattr(t, field) == getattr(known.table, field) for t in tables)
        if known.linear:
            for fields in (("bits", "signed", "scheme"), ("granularity",)):
                assert any(all(getattr(x, f) == getattr(known.linear, f) for f in fields) for x in linears)
        if known.sparsity:
            assert any(e.sparsity and e.sparsity.granularity == known.sparsity.granularity for e in encodings)


@pytest.mark.parametrize("spelling", list(documented()))
def test_first_target_and_bits_are_those_of_the_code(spelling: str) -> None:
    *_, target, bits = documented()[spelling]
    assert target == first_target(spelling)
    assert bits == f"{stored_bits(REFERENCE, Encoding.parse(spelling), DeploymentTarget.IOS18):.3f}"


OLD = (
    *((kind, DeploymentTarget.IOS16) for kind in ("linear", "conv2d", "embedding")),
    *((kind, DeploymentTarget.MACOS14) for kind in ("conv1d", "depthwise", "conv_transpose2d")),
)


@pytest.mark.slow
@pytest.mark.matrix(1)
@pytest.mark.parametrize(("kind", "target"), [*((kind, DeploymentTarget.IOS18) for kind in MODULES), *OLD])
def test_documented_encodings_come_back(kind: str, target: DeploymentTarget) -> None:
    torch.manual_seed(3)
    torch.set_num_threads(1)
    legal = [s for s in documented() if refusal(layer_of(MODULES[kind]()), Encoding.parse(s), target) is None]
    assert len(legal) >= (18 if target.generation == 18 else 12)
    modules = [MODULES[kind]() for _ in legal]
    asked = Configuration({f"{i}": Encoding.parse(s) for i, s in enumerate(legal)})
    encodings = [Configuration.from_json(asked.to_json()).encodings[f"{i}"] for i in range(len(legal))]
    layers = [layer_of(module) for module in modules]
    compressed = [compress(m.weight, layer, e) for m, layer, e in zip(modules, layers, encodings, strict=True)]
    found = package(modules, compressed, target)
    for spelling, layer, encoding, made, weight in zip(
        legal, layers, encodings, compressed, found.weights, strict=True
    ):
        assert list(differences(weight, layer, encoding)) == [], spelling
        ops = documented()[spelling][2 if target.generation == 18 else 1]
        chain = [op.removeprefix("constexpr_") for op in weight.chain] or ["const"]
        assert ops == " → ".join(f"`{op}`" for op in chain), spelling
        np.testing.assert_allclose(weight.value, made.weight.numpy(), rtol=2**-11, atol=2**-24, err_msg=spelling)
        assert weight.bytes == layer_bytes(layer, encoding, target), spelling
