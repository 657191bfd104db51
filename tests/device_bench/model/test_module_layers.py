"""Layers found in torch modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from palettune.device_bench.model.module_layers import layers_of, weightless
from palettune.space.layer import LayerKind


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


def test_modules_without_a_parameter_of_floats_are_no_layers_and_say_why() -> None:
    class Computed(nn.Linear):
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.own = nn.Parameter(torch.ones(2, 2))

        @property
        def weight(self) -> Tensor:
            return self.own * 2

    class Bare(nn.Linear):
        def __init__(self) -> None:
            nn.Module.__init__(self)

    buffered = nn.Linear(2, 2)
    del buffered.weight
    buffered.register_buffer("weight", torch.ones(2, 2))
    whole = nn.Linear(2, 2)
    whole.weight = nn.Parameter(torch.ones(2, 2, dtype=torch.int8), requires_grad=False)
    model = nn.Sequential(Computed(), nn.Linear(2, 2), buffered, whole, Bare(), nn.ReLU())
    assert [layer.name for layer in layers_of(model)] == ["1"]
    reasons = weightless(model)
    assert list(reasons) == ["0", "2", "3", "4"]
    assert "it is computed, set in each forward pass" in reasons["0"]
    assert "not a parameter" in reasons["2"]
    assert "int8" in reasons["3"]
    assert "or missing" in reasons["4"]


def test_equal_weights_of_two_modules_are_two_layers() -> None:
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    other.load_state_dict(one.state_dict())
    assert [layer.name for layer in layers_of(nn.Sequential(one, other))] == ["0", "1"]
