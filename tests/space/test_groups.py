"""Groups of layers by what they read."""

from __future__ import annotations

from palettune.space.groups import groupable_layers, shared_groups
from palettune.space.layer import Layer, LayerKind


def test_linear_layers_and_products_can_be_grouped() -> None:
    kinds = (LayerKind.LINEAR, LayerKind.CONV2D, LayerKind.MATMUL, LayerKind.EMBEDDING)
    layers = [Layer(str(kind), kind, (8, 8)) for kind in kinds]
    assert [layer.name for layer in groupable_layers(layers)] == ["linear", "matmul"]


def test_layers_with_equal_inputs_in_equal_order_are_a_group() -> None:
    inputs = {"q": ("x",), "k": ("x",), "twice": ("x", "x"), "out": ("y",), "unused": (), "idle": (), "v": ("x",)}
    assert shared_groups(inputs) == (("q", "k", "v"),)


def test_groups_come_in_the_order_of_the_first_layer() -> None:
    inputs = {"up": (2,), "query": (1,), "gate": (2,), "key": (1,)}
    assert shared_groups(inputs) == (("up", "gate"), ("query", "key"))
