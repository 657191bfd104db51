"""How many values pruning leaves."""

from __future__ import annotations

import torch
from coremltools.optimize.torch.pruning._utils import magnitude_ranked_mask, n_m_mask
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.space.encoding import Encoding
from palettune.space.encoding_parts import Axis
from palettune.space.layer import Layer, LayerKind
from palettune.space.sparsity import nonzero_count


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 4),
    st.sampled_from(["sparse10", "sparse50", "sparse75", "sparse90", "sparse99", "sparse33", "sparse70"]),
    st.sampled_from(["", "-b2", "-b4", "-kernel", "-channel"]),
)
@settings(deadline=None)
def test_nonzeros_are_those_of_the_pruner(out: int, into: int, kernel: int, zeros: str, grain: str) -> None:
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
def test_nonzeros_of_n_of_m_are_those_of_the_pruner(out: int, into: int, spelling: str) -> None:
    sparsity = Encoding.parse(spelling).sparsity
    assert sparsity is not None
    assert sparsity.n_of_m is not None
    weight = torch.randperm(out * into).reshape(out, into).float() + 1
    mask = n_m_mask(weight, sparsity.n_of_m, 0 if sparsity.axis is Axis.OUTPUT else 1)
    assert mask.sum().item() == nonzero_count(Layer("x", LayerKind.LINEAR, (out, into)), sparsity)
