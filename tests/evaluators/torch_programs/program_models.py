"""Models that TorchScript and torch.export take, and the programs made of them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IMAGE = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
WORDS = torch.tensor([[1, 5, 2, 7, 0]])


class Mixed(nn.Module):
    """Convolution, recurrent layer, a bare parameter, a branch on a shape and a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.lstm, self.head = nn.LSTM(8, 8, batch_first=True), nn.Linear(8, 4)
        self.bare = nn.Parameter(torch.randn(4, 4))
        self.times = 3

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = F.relu(self.norm(self.conv(image))).mean(3).transpose(1, 2)
        if x.size(1) > 2:
            x = x + 1
        for i in range(self.times):
            x = x * 0.5 + i
        states, _ = self.lstm(x)
        scores = self.head(states) @ self.bare
        return {"scores": scores, "sums": scores.sum(-1)}


class Sizes(nn.Module):
    """Computes with sizes, as a trace does in tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        half = x.shape[2] // 2
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear")
        return self.conv(x).flatten(1).reshape(x.shape[0], 4, -1) * half


class Tied(nn.Module):
    """An encoder with a decoder that is tied to the embedding."""

    def __init__(self, norm_first: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=norm_first, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.decoder = nn.Linear(16, 10, bias=False)
        self.decoder.weight = self.embed.weight

    def forward(self, words: Tensor) -> Tensor:
        return self.decoder(self.encoder(self.embed(words)))


class Counted(nn.Module):
    """State in a buffer, written in place, and in an attribute that is set anew."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.register_buffer("mean", torch.zeros(3))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls = self.calls + 1
        self.mean.mul_(0.5).add_(x.mean((0, 2, 3)), alpha=0.5)
        return self.layer(self.mean) * self.calls


class Nest(nn.Module):
    """Lists, tuples and optional values inside."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1, bias=False)])

    def forward(self, x: Tensor, scale: float = 2.0) -> tuple[Tensor, list[Tensor]]:
        kept: list[Tensor] = []
        for layer in self.layers:
            x = layer(x) * scale
            kept.append(x)
        assert len(kept) == 2, "two layers"
        first, second = kept
        if first.dtype == torch.float32 and 3 in [first.size(1)]:
            second = torch.cat([first, second[:, :1]], 1).to(torch.float32)
        return second, kept[::-1]


def ready(model: nn.Module) -> nn.Module:
    return model.eval().requires_grad_(False)


def flat(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs]
    return [tensor for item in (outputs.values() if isinstance(outputs, dict) else outputs) for tensor in flat(item)]
