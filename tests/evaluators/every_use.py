"""A network that uses weights in every way that no module hook sees, and its layers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.evaluators.workflow.evaluator import WorkflowSetting
from palettune.evaluators.workload.workload import load_workload
from palettune.space.layer import Layer, LayerKind, WeightView

WIDTH = 16
WORDS = 40
#: Rows of an LSTM's weight in the order in which a program holds them: gates i, f, o, g.
GATES = (*range(16), *range(24, 32), *range(16, 24))


class EveryUse(nn.Module):
    """Takes word numbers (N, T); returns logits (N, T, words)."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.lstm = nn.LSTM(WIDTH, WIDTH // 2, 2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.functional = nn.Parameter(torch.randn(WIDTH, WIDTH) / WIDTH**0.5)
        self.product = nn.Parameter(torch.randn(WIDTH, 2 * WIDTH) / WIDTH**0.5)
        self.summed = nn.Parameter(torch.randn(2 * WIDTH, WIDTH) / WIDTH**0.5)
        self.conv1d = Conv1D(WIDTH, WIDTH)
        self.dense = nn.Linear(WIDTH, WIDTH)

    def forward(self, words: Tensor) -> Tensor:
        x = self.words(words)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        x = self.gru(self.lstm(x)[0])[0]
        x = x + functional.linear(x, self.functional)
        x = torch.relu(x @ self.product)
        x = torch.einsum("btd,de->bte", x, self.summed)
        x = torch.tanh(self.dense(x + self.conv1d(x)))
        return x @ self.words.weight.t()


class Conv1D(nn.Module):
    """A linear layer whose weight is (inputs, outputs), as in GPT-2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) / inputs**0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight).reshape(*x.shape[:-1], -1)


def every_layer() -> tuple[Layer, ...]:
    """The layers of the network, in the orders in which its program holds their weights."""
    linear, product = LayerKind.LINEAR, LayerKind.MATMUL
    return (
        Layer("words", LayerKind.EMBEDDING, (WORDS, WIDTH)),
        Layer("attention.in_proj_weight", linear, (3 * WIDTH, WIDTH), parameter="attention.in_proj_weight"),
        Layer("attention.out_proj", linear, (WIDTH, WIDTH)),
        *(
            recurrent(f"lstm.weight_{to}_l{level}{way}", inputs)
            for level in (0, 1)
            for way in ("", "_reverse")
            for to, inputs in (("ih", WIDTH), ("hh", WIDTH // 2))
        ),
        *(gate(f"gru.weight_{to}_l0", number) for to in ("ih", "hh") for number in range(3)),
        Layer("functional", linear, (WIDTH, WIDTH), parameter="functional"),
        Layer("product", linear, (2 * WIDTH, WIDTH), parameter="product", view=WeightView(0, (1, 2 * WIDTH))),
        Layer("summed", product, (2 * WIDTH, WIDTH), parameter="summed"),
        Layer("conv1d", product, (WIDTH, WIDTH), parameter="conv1d.weight"),
        Layer("dense", linear, (WIDTH, WIDTH)),
    )


def recurrent(name: str, inputs: int) -> Layer:
    view = WeightView(0, (tuple(inputs * row for row in GATES), 1))
    return Layer(name, LayerKind.RECURRENT, (2 * WIDTH, inputs), parameter=name, view=view)


def gate(name: str, number: int) -> Layer:
    view = WeightView(number * WIDTH * WIDTH, (WIDTH, 1))
    return Layer(f"{name}.{number}", LayerKind.LINEAR, (WIDTH, WIDTH), parameter=name, view=view)


def every_use(seed: int = 0) -> EveryUse:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return EveryUse().eval()


def sentences(count: int, seed: int = 0, length: int = 6) -> list[tuple[Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [(torch.randint(0, WORDS, (1, length), generator=generator),) for _ in range(count)]


#: A workload of this network.
WORKLOAD = """
import torch
from tests.evaluators.every_use import every_use, sentences

def model():
    return every_use()

def example_inputs():
    return sentences(1)[0]

def _data(seed, count):
    network = every_use()
    for inputs in sentences(count, seed):
        with torch.no_grad():
            yield inputs, network(*inputs).argmax(-1)

def evaluation_data():
    return _data(1, 6)

def calibration_data():
    return _data(2, 32)

def training_data():
    return _data(3, 48)
"""


def every_setting(folder: Path) -> WorkflowSetting:
    """The setting of a workflow for this network, with all its layers."""
    path = folder / "workload.py"
    path.write_text(WORKLOAD)
    workload = load_workload(path)
    workload.check()
    weights = LayerWeights(workload.model, every_layer(), WeightBank(folder / "bank"))
    return WorkflowSetting(workload, weights, DivergenceKind.KL)
