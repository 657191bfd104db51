"""Footprints: bytes of constants, whose exactness on real packages other tests and a benchmark show."""

from __future__ import annotations

import math

import pytest
import torch
from coremltools.optimize.torch.pruning._utils import magnitude_ranked_mask, n_m_mask
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.space.blob import Blob, file_bytes
from palettune.space.encoding import Encoding
from palettune.space.encoding_parts import Axis
from palettune.space.encoding_spelling import common_spellings
from palettune.space.footprint import blobs, layer_bytes, stored_bits
from palettune.space.layer import Layer, LayerKind
from palettune.space.legality import refusal
from palettune.space.sparsity import nonzero_count
from palettune.space.target import DeploymentTarget

IOS18 = DeploymentTarget.IOS18


@pytest.mark.parametrize(
    ("elements", "bits", "size"),
    [
        (9, 16, 0),
        (10, 16, 128),
        (32, 16, 128),
        (33, 16, 192),
        (10, 1, 128),
        (512, 1, 128),
        (513, 1, 192),
        (171, 3, 192),
    ],
)
def test_a_blob_has_a_record_and_is_aligned(elements: int, bits: int, size: int) -> None:
    assert Blob(elements, bits).bytes == size


def test_a_file_has_a_header_and_does_not_pad_its_end() -> None:
    assert file_bytes([Blob(10, 16), Blob(3, 16), Blob(10, 16)]) == 64 + 128 + 64 + 20
    assert file_bytes([Blob(3, 16)]) == 0


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 4),
    st.sampled_from(["sparse10", "sparse50", "sparse75", "sparse90", "sparse99", "sparse33", "sparse70"]),
    st.sampled_from(["", "-b2", "-b4", "-kernel", "-channel"]),
)
@settings(deadline=None)
def test_kept_values_are_those_of_the_pruner(out: int, into: int, kernel: int, zeros: str, grain: str) -> None:
    sparsity = Encoding.parse(zeros + grain).sparsity
    layer = Layer("x", LayerKind.CONV2D, (out, into, kernel, kernel))
    if sparsity is None or (sparsity.block and out % sparsity.block):
        return
    weight = torch.randn(layer.shape, generator=torch.Generator().manual_seed(layer.parameters))  # so that no units tie
    granularity = {"-kernel": "per_kernel", "-channel": "per_channel"}.get(grain, "per_scalar")
    mask = magnitude_ranked_mask(weight, sparsity.share, sparsity.block or 1, granularity).expand(layer.shape)
    assert mask.sum().item() == nonzero_count(layer, sparsity)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["sparse1:2", "sparse2:4", "sparse3:4out", "sparse5:8"]))
@settings(deadline=None)
def test_kept_values_of_n_of_m_are_those_of_the_pruner(out: int, into: int, spelling: str) -> None:
    sparsity = Encoding.parse(spelling).sparsity
    assert sparsity is not None
    assert sparsity.n_of_m is not None
    weight = torch.randperm(out * into).reshape(out, into).float() + 1
    mask = n_m_mask(weight, sparsity.n_of_m, 0 if sparsity.axis is Axis.OUTPUT else 1)
    assert mask.sum().item() == nonzero_count(Layer("x", LayerKind.LINEAR, (out, into)), sparsity)


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
