"""The table of which method reaches which use of a weight, against what the methods say of such layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from palettune.device_bench.model.module_layers import layers_of
from palettune.device_bench.package_model.quantized_activation import roundable
from palettune.evaluators.adapters.adapted_model import unadapted
from palettune.evaluators.calibration.layer_statistics import layer_statistics
from palettune.evaluators.calibration.rounded_inputs import roundable_layers
from palettune.space.layer import Layer, LayerKind, WeightView
from tests.docs.pages import ROOT

WIDTH = 32


class Held(nn.Module):
    """A parameter and what is done with it."""

    def __init__(self, shape: tuple[int, ...], use: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.held, self.use = nn.Parameter(torch.randn(shape)), use

    def forward(self, x: Tensor) -> Tensor:
        return self.use(x, self.held)


class Uncalled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.dense.weight)


class Recurrent(nn.Module):
    def __init__(self, cls: Callable[..., nn.RNNBase]) -> None:
        super().__init__()
        self.rnn = cls(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.rnn(x)[0]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x)[0]


def module(made: nn.Module, *size: int) -> tuple[nn.Module, Layer, Tensor]:
    model = nn.Sequential(made)
    return model, layers_of(model)[0], torch.randn(size)


def held(
    kind: LayerKind, shape: tuple[int, ...], use: Callable[[Tensor, Tensor], Tensor], x: Tensor
) -> tuple[nn.Module, Layer, Tensor]:
    return Held(shape, use), Layer("held", kind, shape, parameter="held"), x


def recurrent(cls: Callable[..., nn.RNNBase], rows: int, kind: LayerKind) -> tuple[nn.Module, Layer, Tensor]:
    name = "rnn.weight_ih_l0"
    return Recurrent(cls), Layer(name, kind, (rows, WIDTH), parameter=name), torch.randn(5, 2, WIDTH)


def cases() -> dict[str, list[tuple[nn.Module, Layer, Tensor]]]:
    """By the first words of a row, layers of that use."""
    square, words = (WIDTH, WIDTH), torch.zeros(2, 3, dtype=torch.long)
    tokens, waves, pictures = torch.randn(2, 3, WIDTH), torch.randn(2, WIDTH, 9), torch.randn(2, WIDTH, 5, 5)
    gate = Layer("gate", LayerKind.LINEAR, square, parameter="rnn.weight_ih_l0", view=WeightView(0, (WIDTH, 1)))
    packed = Layer("in", LayerKind.LINEAR, (3 * WIDTH, WIDTH), parameter="attention.in_proj_weight")
    attention = Attention()
    return {
        "`nn.Linear`, `nn.Conv1d`": [
            module(nn.Linear(*square), 2, WIDTH),
            module(nn.Conv1d(*square, 3), 2, WIDTH, 9),
            module(nn.Conv2d(*square, 3), 2, WIDTH, 5, 5),
        ],
        "`nn.Conv3d`": [module(nn.Conv3d(*square, 3), 2, WIDTH, 4, 4, 4)],
        "transposed convolution": [module(nn.ConvTranspose2d(*square, 3), 2, WIDTH, 4, 4)],
        "`F.linear`": [
            held(LayerKind.LINEAR, square, functional.linear, tokens),
            held(LayerKind.CONV1D, (*square, 3), functional.conv1d, waves),
            held(LayerKind.CONV2D, (*square, 3, 3), functional.conv2d, pictures),
            held(LayerKind.MATMUL, square, torch.matmul, tokens),
            held(LayerKind.MATMUL, square, lambda x, w: torch.einsum("btd,de->bte", x, w), tokens),
            (uncalled := Uncalled(), layers_of(uncalled)[0], tokens),
        ],
        "projections": [(attention, packed, tokens), (attention, layers_of(attention)[0], tokens)],
        "`F.conv3d`": [held(LayerKind.CONV3D, (*square, 3, 3, 3), functional.conv3d, torch.randn(2, WIDTH, 4, 4, 4))],
        "`F.conv_transpose1d`": [held(LayerKind.CONV_TRANSPOSE1D, (*square, 3), functional.conv_transpose1d, waves)],
        "LSTM": [
            recurrent(nn.LSTM, 4 * WIDTH, LayerKind.RECURRENT),
            recurrent(nn.RNN, WIDTH, LayerKind.RECURRENT),
            recurrent(nn.GRU, 3 * WIDTH, LayerKind.LINEAR),
            recurrent(partial(nn.LSTM, proj_size=4), 4 * WIDTH, LayerKind.LINEAR),
            (Recurrent(nn.GRU), gate, torch.randn(5, 2, WIDTH)),
        ],
        "look-up": [
            (*module(nn.Embedding(*square))[:2], words),
            held(LayerKind.EMBEDDING, (4, *square), lambda x, w: x @ w[int(x[0, 0, 0] > 0)], tokens),
        ],
        "a table": [held(LayerKind.OPERAND, square, lambda x, w: x * w[:3], tokens)],
    }


def rows() -> dict[str, tuple[bool, ...]]:
    text = (ROOT / "docs/encodings.md").read_text().partition("### What reaches which use")[2]
    cells = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]
    return {use.strip(): tuple(cell.strip() == "yes" for cell in found) for use, *found in cells}


def test_each_row_has_an_example() -> None:
    assert len(rows()) == len(cases()) == 10
    for use, start in zip(rows(), cases(), strict=True):
        assert use.startswith(start)


@pytest.mark.parametrize("number", range(10))
def test_what_a_row_says_is_so(number: int) -> None:
    torch.manual_seed(0)
    said, examples = list(rows().values())[number], list(cases().values())[number]
    for model, layer, x in examples:
        model.eval()
        called = roundable(model, (x,), [] if layer.module is None else [layer.module])
        found = (
            layer.name in layer_statistics(model, [layer], [(x,)], [(x,)]),
            layer.name in roundable_layers(model, (x,), [layer]),
            unadapted(layer, 1, called) is None,
        )
        assert found == said, layer
