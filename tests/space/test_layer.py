"""Layers: the meaning of a weight's axes."""

from __future__ import annotations

import pytest

from palettune.space.layer import Layer, LayerKind


@pytest.mark.parametrize("kind", LayerKind)
def test_axes_of_channels_follow_the_kind(kind: LayerKind) -> None:
    layer = Layer("x", kind, (6, 24, 3, 3))
    turned = kind in (LayerKind.MATMUL, *(k for k in LayerKind if k.startswith("conv_transpose")))
    assert (layer.output_channels, layer.input_channels) == ((24, 6) if turned else (6, 24))
    assert layer.parameters == 6 * 24 * 9


def test_kinds_of_a_tied_weight_are_listed_once_its_own_first() -> None:
    tied = (("head", LayerKind.LINEAR), ("other", LayerKind.LINEAR), ("again", LayerKind.EMBEDDING))
    assert Layer("x", LayerKind.EMBEDDING, (4, 4), tied=tied).kinds == (LayerKind.EMBEDDING, LayerKind.LINEAR)
