"""Layers found in torch modules."""

from __future__ import annotations

from torch import nn

from space.layer import LayerKind
from space.modules import layers_of


def test_kinds_shapes_and_axes() -> None:
    model = nn.Sequential(
        nn.Conv2d(4, 8, 3, groups=2), nn.ReLU(), nn.ConvTranspose1d(8, 6, 5), nn.Linear(6, 3), nn.Embedding(10, 4)
    )
    conv, transposed, linear, embedding = layers_of(model)
    assert (conv.kind, conv.shape, conv.groups) == (LayerKind.CONV2D, (8, 2, 3, 3), 2)
    assert (transposed.output_channels, transposed.input_channels) == (6, 8)
    assert (linear.output_channels, linear.input_channels, linear.parameters) == (3, 6, 18)
    assert (embedding.kind, embedding.output_channels) == (LayerKind.EMBEDDING, 10)


def test_tied_weights_are_one_layer_that_knows_both_kinds() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.decoder = nn.Embedding(10, 4), nn.Linear(4, 10, bias=False)
            self.decoder.weight = self.embedding.weight
            self.again = self.decoder

    (layer,) = layers_of(Tied())
    assert layer.name == "embedding"
    assert layer.tied == (("decoder", LayerKind.LINEAR),)
    assert layer.kinds == (LayerKind.EMBEDDING, LayerKind.LINEAR)


def test_subclasses_count() -> None:
    class Mine(nn.Linear):
        pass

    assert [layer.kind for layer in layers_of(nn.Sequential(Mine(2, 2)))] == [LayerKind.LINEAR]
