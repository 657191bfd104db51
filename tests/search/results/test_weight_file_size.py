"""The bytes of a package's weight file, predicted from the assembled model."""

import json
from dataclasses import replace

import pytest

from palettune.search.results.export import write_manifest
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
    assert entry["coverage"] == pytest.approx(12416 / (12416 + 1344))


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
