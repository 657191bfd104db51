"""Footprints: bytes of constants, whose exactness on real packages other tests and a benchmark show."""

from __future__ import annotations

import math

import pytest

from palettune.space.encoding import Encoding
from palettune.space.encoding_spelling import common_spellings
from palettune.space.footprint import blobs, layer_bytes, stored_bits
from palettune.space.layer import Layer, LayerKind
from palettune.space.legality import refusal
from palettune.space.target import DeploymentTarget

IOS18 = DeploymentTarget.IOS18


@pytest.mark.parametrize("spelling", list(common_spellings()))
@pytest.mark.parametrize("target", DeploymentTarget)
def test_bits_as_stored_are_near_the_nominal_ones(spelling: str, target: DeploymentTarget) -> None:
    encoding = Encoding.parse(spelling)
    layer = Layer("x", LayerKind.CONV2D, (1024, 1024, 3, 3))
    if refusal(layer, encoding, target) is not None:
        return
    vector = encoding.table.vector if encoding.table else 1
    nominal = encoding.bits / vector
    if encoding.sparsity is not None:
        nominal = nominal * (1 - encoding.sparsity.share) + 1
    assert nominal <= stored_bits(layer, encoding, target) < nominal + 0.6
    assert layer_bytes(layer, encoding, target) % 64 == 0
    assert all(blob.bytes >= blob.data_bytes for blob in blobs(layer, encoding, target))


def test_fewer_values_that_are_kept_are_fewer_bytes() -> None:
    layer = Layer("x", LayerKind.LINEAR, (64, 64))
    encoding = Encoding.parse("sparse50+int8")
    exact = layer_bytes(layer, encoding, IOS18, nonzero=1000)
    assert layer_bytes(layer, encoding, IOS18) - exact == math.ceil(2048 / 64) * 64 - math.ceil(1000 / 64) * 64
    assert layer_bytes(layer, Encoding.parse("int8"), IOS18, nonzero=1000) == layer_bytes(
        layer, Encoding.parse("int8"), IOS18
    )
