"""The bytes of a package's weight file, predicted from the assembled model."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from palettune.device_bench.conversion.base_program import BaseProgram
from palettune.device_bench.model.compressed_weight import install
from palettune.device_bench.proof.proof import LayerProof, Proof
from palettune.evaluators.compression.compression import compress
from palettune.search.results.packages.manifest import write_manifest
from palettune.search.results.weight_file_size import WeightFile, weight_file
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.footprint import layer_bytes
from palettune.space.layer import Layer, LayerKind
from palettune.space.target import DeploymentTarget
from tests.search.odd_weights import PLAIN, exported_of, prepared


def test_bytes_said_are_those_of_the_package(unused, tmp_path):
    exported = exported_of(unused, tmp_path, a="lut4", b="lut4")
    assert exported.proven, exported.failures
    assert (
        exported.weight_bytes
        == exported.predicted_weight_bytes
        == unused.costs(exported.record.configuration)["size_mb"] * 1e6
    )
    (entry,) = json.loads(write_manifest([exported], tmp_path / "out").read_text())
    assert entry["proof"]["bytes"] == {
        "passed": True,
        "predicted": exported.weight_bytes,
        "real": exported.weight_bytes,
    }
    assert entry["coverage"] == pytest.approx(12416 / (12416 + 64 + 2 * 6 * 16))


def test_a_weight_file_of_another_size_than_predicted_fails_the_export(unused, tmp_path):
    wrong = replace(unused, base=replace(unused.base, rest_bytes=unused.base.rest_bytes + 64))
    exported = exported_of(wrong, tmp_path)
    assert exported.proof.passed
    assert not exported.proven
    assert exported.path.name.endswith(".unproven.mlpackage")
    real = exported.weight_bytes
    assert exported.failures == (
        f"the weight file takes {real} B, {real + 64} B were predicted: off by -64 B (outside the layers)",
    )
    (entry,) = json.loads(write_manifest([exported], tmp_path / "out").read_text())
    assert entry["proof"]["passed"] is False
    assert entry["proof"]["bytes"]["passed"] is False
    assert "off by" in entry["proof"]["failures"][0]


@pytest.mark.slow
def test_a_file_that_ends_with_a_layer_is_predicted_to_the_byte(tmp_path):
    preparation = prepared(tmp_path, PLAIN)
    assert preparation.base.ends_with_layer
    for encodings in ({}, {"a": "lut4", "b": "int8"}, {"b": "uint8-asym"}):
        exported = exported_of(preparation, tmp_path, **encodings)
        assert exported.proven, exported.failures


def test_what_depends_on_the_values_of_a_weight_is_predicted_from_them(tmp_path):
    """coremltools drops zero points that are all zero, and stores zeros in 4 bits."""
    positive = PLAIN.replace(
        "    def forward", "        self.a.weight.data.zero_()\n        self.b.weight.data.abs_()\n\n    def forward"
    )
    preparation = prepared(tmp_path, positive)
    exported = exported_of(preparation, tmp_path, a="int8", b="uint8-asym")
    assert exported.weight_file.passed, exported.failures


def test_a_difference_is_said_with_its_layers():
    exact, off = WeightFile(640, 640), WeightFile(640, 704, ("layer 'a' takes 128 B, 64 B were predicted",))
    assert exact.passed
    assert str(exact) == "weight file 640 B, exactly as predicted"
    assert not off.passed
    assert "off by +64 B (layer 'a' takes 128 B" in str(off)
    assert off.to_json() == {"passed": False, "predicted": 640, "real": 704}


@pytest.mark.parametrize("spelling", ["fp16", "lut4", "int8", "uint8-asym", "sparse50"])
@pytest.mark.parametrize("extra", [0, 64])
def test_a_layer_that_takes_more_than_predicted_is_named(spelling, extra):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(64, 32))
    layer, encoding, target = (
        Layer("0", LayerKind.LINEAR, (32, 64)),
        Encoding.parse(spelling),
        DeploymentTarget("iOS18"),
    )
    install(module, layer, compress(module[0].weight, layer, encoding))
    size = layer_bytes(layer, encoding, target)  # of a weight that has neither zeros nor offsets to drop
    found = LayerProof("0", spelling, spelling, size + extra, 0.0, ())
    proof = Proof((found,), (), 1, 0, 100 + size + extra, "digest")
    base = BaseProgram(100, False, {}, {}, ())
    file = weight_file(module, base, Configuration({"0": encoding}), [layer], target, proof)
    assert (file.predicted, file.real) == (100 + size, 100 + size + extra)
    assert file.passed == (not extra)
    assert [words for words in file.differences if "layer '0'" in words] == [*file.differences]
    assert len(file.differences) == bool(extra)
