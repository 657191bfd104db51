"""Small networks for the tests of conversion, packages and proof, and a plain way to compress their layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from palettune.device_bench.model.compressed_weight import CompressedWeight, install
from palettune.space.layer import Layer, LayerKind

LAYER_KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.Embedding)


class ConvNet(nn.Module):
    """Convolutions, depthwise too, each followed by a normalization; no bias at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(16)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.depthwise_norm = nn.BatchNorm2d(16)
        self.classifier = nn.Linear(16, 20, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem_norm(self.stem(x)))
        x = functional.silu(self.depthwise_norm(self.depthwise(x))) * 2.0
        return self.classifier(x.mean((2, 3)))


class Decoder(nn.Module):
    """Transposed convolutions in one and two dimensions, grouped too, scaled and subtracted from a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(12, 32 * 4)
        self.up1 = nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.up2 = nn.ConvTranspose2d(16, 8, 2, stride=2, groups=2, bias=False)
        self.up3 = nn.ConvTranspose1d(8, 4, 3, stride=2)
        self.out = nn.Conv1d(4, 12, 3)

    def forward(self, z: Tensor) -> Tensor:
        x = self.project(z).reshape(-1, 32, 2, 2)
        x = torch.tanh(self.up2(torch.relu(self.norm(self.up1(x)))))
        return 3 - self.out(self.up3(x.mean(3))) * 2.0


class Attention(nn.Module):
    """One pre-norm transformer block."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        y = self.norm1(x)
        query, key, value = (
            layer(y).view(batch, length, self.heads, -1).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        attended = (query @ key.transpose(-1, -2) / (width / self.heads) ** 0.5).softmax(-1) @ value
        x = x + self.output(attended.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class LanguageModel(nn.Module):
    """Token ids in, a nested mapping out; the head may share the embedding's weight."""

    def __init__(self, tied: bool = True, vocabulary: int = 100, width: int = 32, blocks: int = 1) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(torch.randn(1, 9, width))
        self.blocks = nn.Sequential(*(Attention(width) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, ids: Tensor, scale: Tensor) -> dict[str, object]:
        x = self.norm(self.blocks(self.embedding(ids) + self.position * scale))
        return {"logits": self.head(x), "cache": None, "hidden": (x, x.mean(1))}


class Recurrent(nn.Module):
    """An LSTM, whose weights are no layers, between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(30, 16)
        self.lstm = nn.LSTM(16, 24, batch_first=True, bidirectional=True)
        self.classifier = nn.Linear(48, 5)

    def forward(self, ids: Tensor) -> Tensor:
        states, _ = self.lstm(self.embedding(ids))
        return self.classifier(states[:, -1])


class Twins(nn.Module):
    """Layers of equal content, one after the other and side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(16, 16), nn.Linear(16, 16)
        self.left, self.right = nn.Linear(16, 16, bias=False), nn.Linear(16, 16, bias=False)
        self.second.load_state_dict(self.first.state_dict())
        self.right.load_state_dict(self.left.state_dict())
        self.matrix = nn.Parameter(torch.randn(16, 16))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = torch.relu(self.second(torch.relu(self.first(x))))
        return self.left(y) - self.right(y) * 2, y @ self.matrix + 1


class Perceptron(nn.Module):
    """Linear layers alone, no bias, no normalization: every constant of the package is a layer's."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(24, 36, bias=False)
        self.out = nn.Linear(36, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.hidden(x)))


NETWORKS = {
    "conv_net": (ConvNet, lambda: (torch.randn(1, 3, 8, 8),)),
    "decoder": (Decoder, lambda: (torch.randn(1, 12),)),
    "language_model": (lambda: LanguageModel(False), lambda: (torch.randint(0, 100, (1, 9)), torch.tensor([2.0]))),
    "tied_language_model": (LanguageModel, lambda: (torch.randint(0, 100, (1, 9)), torch.tensor([2.0]))),
    "recurrent": (Recurrent, lambda: (torch.randint(0, 30, (1, 6)),)),
    "twins": (Twins, lambda: (torch.randn(1, 16),)),
    "perceptron": (Perceptron, lambda: (torch.randn(1, 24),)),
}


def build(name: str) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A network of the above with normalizations that differ from the identity, and inputs for it."""
    torch.manual_seed(0)
    make, inputs = NETWORKS[name]
    module = make()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.running_var, part.weight):
                nn.init.uniform_(tensor, 0.5, 2.0)
            for tensor in (part.running_mean, part.bias):
                nn.init.normal_(tensor)
    return module.eval(), inputs()


def layer_names(module: nn.Module) -> list[str]:
    """Layers of a network; of tied ones the first."""
    names: dict[int, str] = {}
    for name, part in module.named_modules():
        if isinstance(part, LAYER_KINDS):
            names.setdefault(id(part.weight), name)
    return list(names.values())


def table_weight(weight: Tensor, bits: int = 4) -> CompressedWeight:
    """A weight rounded to a table of equal steps: one table, in coremltools' metadata."""
    weight = weight.detach()
    table = torch.linspace(weight.min().item(), weight.max().item(), 2**bits).half().float()
    indices = (weight[..., None] - table).abs().argmin(-1)
    buffers = {"lut": table.reshape([1] * weight.dim() + [-1, 1]), "compression_type": torch.tensor([2])}
    return CompressedWeight(table[indices], buffers)


def compress_layers(module: nn.Module, names: list[str], bits: int = 4) -> nn.Module:
    """Put tables into the named layers, in place."""
    for name in names:
        weight = module.get_submodule(name).weight
        install(module, Layer(name, LayerKind.LINEAR, tuple(weight.shape)), table_weight(weight, bits))
    return module
