"""Names and kinds of discovered layers."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from palettune.device_bench.conversion.base_program import base_program
from palettune.space.layer import LayerKind


class Named(nn.Module):
    """A module of one weight, one of a weight and another matrix, bare parameters, and parts of one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1d = nn.Module()
        self.conv1d.weight = nn.Parameter(torch.randn(16, 24))
        self.pair = nn.Module()
        self.pair.weight, self.pair.other = nn.Parameter(torch.randn(20, 24)), nn.Parameter(torch.randn(20, 20))
        self.bare = nn.ParameterList([torch.randn(12, 20)])
        self.parts = nn.Parameter(torch.randn(3, 12, 12))
        self.table = nn.Embedding(16, 16)

    def forward(self, ids: Tensor) -> Tensor:
        x = torch.addmm(torch.ones(24), self.table(ids), self.conv1d.weight)
        x = functional.linear(functional.linear(x, self.pair.weight), self.pair.other)
        x = torch.einsum("bi,oi->bo", x, self.bare[0])
        for part in self.parts:
            x = torch.tanh(x @ part)
        return x


def test_layers_are_named_by_module_or_parameter_and_numbered_parts():
    torch.manual_seed(0)
    base = base_program(Named().eval(), (torch.arange(5),), "iOS18")
    found = {layer.name: layer for layer in base.layers}
    assert list(found) == [
        *("parts.0", "parts.1", "parts.2", "conv1d", "pair.weight", "pair.other", "bare.0", "table"),
    ]
    assert not base.refusals
    assert found["conv1d"].tensor == "conv1d.weight"
    assert found["table"].kind is LayerKind.EMBEDDING
    assert found["parts.1"].parameter == "parts"
    assert found["parts.1"].view.start == 144
    assert found["conv1d"].output_channels == 24
    assert found["bare.0"].output_channels == 12
    assert found["pair.other"].shape == (20, 20)


def test_a_weight_that_ops_take_in_two_ways_is_one_layer_of_both_kinds():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Parameter(torch.randn(32, 16))

        def forward(self, ids: Tensor) -> Tensor:
            return functional.embedding(ids, self.words) @ self.words.T

    (layer,) = base_program(Tied().eval(), (torch.arange(4),), "iOS18").layers
    assert layer.name == "words"
    assert set(layer.kinds) == {LayerKind.EMBEDDING, LayerKind.LINEAR}
