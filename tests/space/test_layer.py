"""Layers: the meaning of a weight's axes."""

from __future__ import annotations

import pytest

from palettune.space.layer import Layer, LayerKind, WeightView


@pytest.mark.parametrize("kind", LayerKind)
def test_axes_of_channels_follow_the_kind(kind: LayerKind) -> None:
    layer = Layer("x", kind, (6, 24, 3, 3))
    turned = kind in (LayerKind.MATMUL, *(k for k in LayerKind if k.startswith("conv_transpose")))
    assert (layer.output_channels, layer.input_channels) == ((24, 6) if turned else (6, 24))
    assert layer.parameters == 6 * 24 * 9


def test_kinds_of_a_tied_weight_are_listed_once_its_own_first() -> None:
    tied = (("head", LayerKind.LINEAR), ("other", LayerKind.LINEAR), ("again", LayerKind.EMBEDDING))
    assert Layer("x", LayerKind.EMBEDDING, (4, 4), tied=tied).kinds == (LayerKind.EMBEDDING, LayerKind.LINEAR)


def test_a_layer_says_what_holds_its_weight():
    plain = Layer("a.b", LayerKind.LINEAR, (2, 2))
    assert (plain.tensor, plain.module) == ("a.b.weight", "a.b")
    assert Layer("", LayerKind.LINEAR, (2, 2)).tensor == "weight"
    packed = Layer("a.packed", LayerKind.LINEAR, (2, 2), parameter="a.packed")
    assert (packed.tensor, packed.module) == ("a.packed", None)
    turned = Layer("a.b", LayerKind.LINEAR, (2, 2), view=WeightView(0, (1, 2)))
    assert (turned.tensor, turned.module) == ("a.b.weight", None)


def test_a_view_has_steps_where_positions_are_equally_spaced():
    assert WeightView(3, (4, 1)).steps == (4, 1)
    assert WeightView(3, ((0, 8, 4), 1)).steps is None
