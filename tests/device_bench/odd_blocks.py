"""Blocks that use their weights in other ways than their own layers would; each takes and gives 32 numbers a sample."""

from __future__ import annotations

import random

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 32


class Plain(nn.Module):
    """The usual: a layer, used by its own forward."""

    refused = frozenset[str]()

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.linear(x))


class Idle(Plain):
    """A pooler that is never called, and an auxiliary head whose result is thrown away."""

    refused = frozenset({"pooler", "aux"})

    def __init__(self) -> None:
        super().__init__()
        self.pooler, self.aux = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(WIDTH, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        self.aux(x)
        return self.pooler(x) if self.training else x


class Standardized(nn.Module):
    """A convolution whose weight is standardized before use, as in BiT."""

    refused = frozenset({"conv"})

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.conv.weight
        centred = weight - weight.mean((1, 2, 3), keepdim=True)
        weight = centred / (centred.square().mean((1, 2, 3), keepdim=True) + 1e-5).sqrt()
        return functional.conv2d(x.view(-1, 2, 4, 4), weight, self.conv.bias, padding=1).flatten(1)


class BatchStandardized(nn.Module):
    """The same by a batch normalization of the weight with a gain, as in NFNet."""

    refused = frozenset({"conv"})

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.gain = nn.Parameter(torch.rand(2) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        flat = self.conv.weight.reshape(1, 2, -1)
        weight = functional.batch_norm(flat, None, None, weight=self.gain, training=True, momentum=0.0)
        return functional.conv2d(x.view(-1, 2, 4, 4), weight.view(2, 2, 3, 3), self.conv.bias, padding=1).flatten(1)


class Equalized(Plain):
    """A learning rate equalized by a constant factor, as in StyleGAN."""

    refused = frozenset({"linear"})

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.linear.weight * 0.25, self.linear.bias)


class Modulated(nn.Module):
    """A convolution whose weight a style changes at every call, as in StyleGAN2."""

    refused = frozenset({"conv"})

    def __init__(self) -> None:
        super().__init__()
        self.style, self.conv = nn.Linear(WIDTH, 2), nn.Conv2d(2, 2, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.conv.weight * self.style(x).view(1, 2, 1, 1)
        return functional.conv2d(x.view(-1, 2, 4, 4), weight, padding=1).flatten(1)


class Cosine(Plain):
    """A head that compares directions."""

    refused = frozenset({"linear"})

    def forward(self, x: Tensor) -> Tensor:
        return 4 * functional.linear(functional.normalize(x), functional.normalize(self.linear.weight))


class Codebook(nn.Module):
    """Vector quantization: codes are looked up, and computed with to choose them."""

    refused = frozenset({"codes"})

    def __init__(self) -> None:
        super().__init__()
        self.codes = nn.Embedding(16, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        codes = self.codes.weight
        return x + self.codes((x @ codes.t() - 0.5 * codes.square().sum(-1)).argmax(-1))


class Chosen(nn.Module):
    """A layer without gradient, whose largest output chooses a row."""

    refused = frozenset[str]()

    def __init__(self) -> None:
        super().__init__()
        self.choose, self.rows = nn.Linear(WIDTH, 20), nn.Embedding(20, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            index = self.choose(x).argmax(-1)
        return x + self.rows(index)


class TurnedHead(nn.Module):
    """An output head that shares its embedding, written as a product with the transposed weight."""

    refused = frozenset[str]()

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.words(x.argmax(-1)) + x) @ self.words.weight.T


class TiedAutoencoder(Plain):
    """One weight there and back."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(torch.relu(self.linear(x)), self.linear.weight.t())


class OnlyTurned(Plain):
    """A product with a weight that no op takes upright."""

    refused = frozenset[str]()

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.linear.weight)


class Twice(Plain):
    """A module shared by two branches, as in Siamese networks."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) - super().forward(x.flip(1))


class Frozen(nn.Module):
    """A table of positions that is read at the same rows every time, and a layer that works on a buffer."""

    refused = frozenset({"positions", "project"})

    def __init__(self) -> None:
        super().__init__()
        self.positions, self.project = nn.Embedding(12, WIDTH), nn.Linear(8, WIDTH)
        self.register_buffer("latent", torch.randn(1, 8))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.project(self.latent)) + self.positions(torch.arange(4)).mean(0)


class Merged(nn.Module):
    """Low-rank adapters merged into their layer in every forward pass."""

    refused = frozenset({"base", "down", "up"})

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(WIDTH, WIDTH)
        self.down, self.up = nn.Linear(WIDTH, 4, bias=False), nn.Linear(4, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.base.weight + 2 * (self.up.weight @ self.down.weight), self.base.bias)


class Both(Plain):
    """A weight whose norms are added to what it makes."""

    refused = frozenset({"linear"})

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.linear.weight.norm(dim=1)


class Sliced(Plain):
    """A slimmable layer, of which a part is used."""

    refused = frozenset[str]()

    def forward(self, x: Tensor) -> Tensor:
        half = functional.linear(x, self.linear.weight[:16], self.linear.bias[:16])
        return torch.cat([half, x[:, 16:]], 1)


class Recast(Plain):
    """A weight cast to the type of its input, twice."""

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            x = torch.relu(functional.linear(x, self.linear.weight.to(x.dtype), self.linear.bias))
        return x


class ReplacedNan(Plain):
    """A weight of which the front end itself makes a constant."""

    refused = frozenset[str]()

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + functional.linear(x, torch.nan_to_num(self.linear.weight))


class Gates(nn.Module):
    """A recurrent op that takes its weights from linear layers."""

    refused = frozenset[str]()

    def __init__(self) -> None:
        super().__init__()
        self.inputs, self.states = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(WIDTH, 4 * WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        weights = [self.inputs.weight, self.states.weight, self.inputs.bias, self.states.bias]
        start = torch.zeros(1, x.shape[0], WIDTH)
        found, _, _ = torch.lstm(x[:, None], (start, start), weights, True, 1, 0.0, False, False, True)
        return found[:, -1]


class Inverse(Plain):
    """A weight whose inverse the front end computes, which no stand-in has."""

    refused = frozenset({"linear"})

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) @ torch.linalg.inv(self.linear.weight)


class Shifted(Plain):
    """An invertible matrix made of a weight, whose inverse the front end computes."""

    refused = frozenset({"linear"})

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) @ torch.linalg.inv(self.linear.weight + torch.eye(WIDTH))


class CastCodebook(Codebook):
    """A codebook whose norms are cast to the type of the input."""

    def forward(self, x: Tensor) -> Tensor:
        norms = self.codes.weight.float().square().sum(-1).to(x.dtype)
        return x + self.codes((functional.linear(x, self.codes.weight) - 0.5 * norms).argmax(-1))


#: Blocks that need nothing else of a network. ``Gates`` needs tracing, ``Inverse`` several conversions.
BLOCKS: dict[str, type[nn.Module]] = {
    block.__name__: block
    for block in (
        *(Plain, Idle, Standardized, BatchStandardized, Equalized, Modulated, Cosine, Codebook, Chosen, TurnedHead),
        *(TiedAutoencoder, OnlyTurned, Twice, Frozen, Merged, Both, Sliced, Recast, ReplacedNan),
    )
}


class Chain(nn.Module):
    """Blocks one after the other."""

    def __init__(self, *blocks: type[nn.Module]) -> None:
        super().__init__()
        for block in blocks:
            self.add_module(block.__name__.lower(), block())

    def forward(self, x: Tensor) -> Tensor:
        for block in self.children():
            x = block(x)
        return x

    @property
    def refused(self) -> set[str]:
        """The layers that cannot be compressed."""
        return {f"{name}.{layer}" for name, block in self.named_children() for layer in block.refused}


def chain(*blocks: str, seed: int = 0) -> Chain:
    """A chain of these blocks, with weights of its own."""
    torch.manual_seed(seed)
    return Chain(*(BLOCKS[block] for block in blocks)).eval()


def random_chain(seed: int) -> Chain:
    """Five blocks in some order; any four seeds from a multiple of four on draw each block once."""
    deck = sorted(BLOCKS)
    random.Random(seed // 4).shuffle(deck)
    return chain(*deck[seed % 4 * 5 :][:5], seed=seed)
