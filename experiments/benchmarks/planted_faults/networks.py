"""Random small networks, right ones and ones with one planted fault, and the data that show it."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Fault", "Planted", "planted"]

_ITEMS = 10


class Fault(StrEnum):
    """What is wrong with a network, or with the package that is made of it."""

    NONE = "none"
    OVERFLOW = "overflow"
    UNUSED_HEAD = "unused_head"
    LEAKING_BUFFER = "leaking_buffer"
    FROZEN_BRANCH = "frozen_branch"
    FLIPPED_INDEX = "flipped_index"
    WRONG_SCALE = "wrong_scale"


@dataclass(frozen=True)
class Planted:
    """One network with its data.

    Attributes:
        module: in evaluation mode.
        draw: makes the inputs of one item of data.
        place: the submodule that holds the fault; empty where none does.
    """

    seed: int
    fault: Fault
    module: nn.Module
    draw: Callable[[torch.Generator], Tensor]
    place: str

    def example(self) -> tuple[Tensor, ...]:
        """The inputs to convert with."""
        return (self.draw(torch.Generator().manual_seed(self.seed + 1)),)

    def data(self) -> Iterator[tuple[tuple[Tensor, ...], None]]:
        """Items of one sample each."""
        generator = torch.Generator().manual_seed(self.seed + 2)
        for _ in range(_ITEMS):
            yield (self.draw(generator),), None


def planted(seed: int, fault: Fault) -> Planted:
    """A network of three to six blocks on vectors, sequences or images, with at most one fault in one of them."""
    rng = random.Random(f"{seed} {fault}")
    torch.manual_seed(rng.randrange(2**31))
    family = rng.choice([_vectors, _sequences, _images])
    first, make, head, draw, width = family(rng)
    blocks = [make() for _ in range(rng.randrange(2, 5))]
    at = rng.randrange(len(blocks) + 1)
    place = ""
    if fault in _PLANTS:
        blocks.insert(at, _PLANTS[fault](rng, family, width))
        place = f"block{at}"
    named = [("first", first), *((f"block{i}", block) for i, block in enumerate(blocks)), ("head", head)]
    module = nn.Sequential(OrderedDict(named)).eval()
    if fault is Fault.FROZEN_BRANCH:
        _balance(module, place, draw, seed)
    return Planted(seed, fault, module, draw, place)


def _vectors(rng: random.Random) -> tuple[nn.Module, Callable[[], nn.Module], nn.Module, Callable[..., Tensor], int]:
    inputs, width = rng.choice([8, 12, 24]), rng.choice([16, 24, 32])
    kinds = [_Mlp, _Gated, _Normed]
    return (
        nn.Linear(inputs, width),
        lambda: rng.choice(kinds)(width),
        nn.Linear(width, rng.choice([1, 4, 10])),
        lambda g: torch.randn(1, inputs, generator=g),
        width,
    )


def _sequences(rng: random.Random) -> tuple[nn.Module, Callable[[], nn.Module], nn.Module, Callable[..., Tensor], int]:
    words, width, length = rng.choice([20, 50]), rng.choice([16, 32]), rng.choice([5, 8])
    kinds = [_Mlp, _Gated, _Normed, _Attention, _TimeConv]
    return (
        nn.Embedding(words, width),
        lambda: rng.choice(kinds)(width),
        nn.Linear(width, rng.choice([4, words])),
        lambda g: torch.randint(0, words, (1, length), generator=g),
        width,
    )


def _images(rng: random.Random) -> tuple[nn.Module, Callable[[], nn.Module], nn.Module, Callable[..., Tensor], int]:
    width = rng.choice([16, 24])
    kinds = [_Conv, _Separable]
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, rng.choice([3, 10])))
    return (
        nn.Conv2d(3, width, 3, padding=1),
        lambda: rng.choice(kinds)(width),
        head,
        lambda g: torch.randn(1, 3, 8, 8, generator=g),
        width,
    )


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.gelu(self.up(x)))


class _Gated(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.silu(self.gate(x)) * self.up(x))


class _Normed(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.mix = nn.LayerNorm(width), nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.mix(self.norm(x)))


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        scores = self.q(x) @ self.k(x).transpose(1, 2) / x.shape[-1] ** 0.5
        return x + self.o(scores.softmax(-1) @ self.v(x))


class _TimeConv(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.conv(x.transpose(1, 2)).transpose(1, 2))


class _Conv(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(x)))


class _Separable(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.pointwise = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.silu(self.pointwise(self.depthwise(x)))


class _Loud(nn.Module):
    """Beyond 65,504 in one of several ways, and divided by the largest value after: infinite by infinite in fp16."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "scale":
            loud = (x + 2) * 60000
        elif self.way == "square":
            loud = (x * 60 + 300).square() * (x + 3)
        else:
            loud = (x.clamp(-1, 1) + 13).exp()
        return loud / loud.abs().amax(1, keepdim=True)


class _WithHead(nn.Module):
    """A layer that nothing reads."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.unused = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x)


class _Leaking(nn.Module):
    """A sum over all calls, kept in a buffer, that what comes out depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += x.mean().reshape(1)
        return x + self.seen * torch.linspace(0, 1, x.shape[-1])  # unevenly, so that no normalization hides it


class Branching(nn.Module):
    """Two ways, chosen by what comes in."""

    middle: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("middle", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if x.mean() > self.middle:  # frozen by tracing
            return x * 1.5
        return torch.tanh(x) - 0.5


def _balance(module: nn.Module, place: str, draw: Callable[..., Tensor], seed: int) -> None:
    """Let half of the data take each way."""
    block = module.get_submodule(place)
    assert isinstance(block, Branching)
    means: list[Tensor] = []
    handle = block.register_forward_pre_hook(lambda _, inputs: means.append(inputs[0].mean()))
    generator = torch.Generator().manual_seed(seed + 2)
    with torch.no_grad():
        for _ in range(_ITEMS):
            module(draw(generator))
    handle.remove()
    block.middle.copy_(torch.stack(means).sort().values[_ITEMS // 2 - 1 : _ITEMS // 2 + 1].mean())


_PLANTS: dict[Fault, Callable[[random.Random, object, int], nn.Module]] = {
    Fault.OVERFLOW: lambda rng, family, width: _Loud(rng.choice(["scale", "square", "exp"])),
    Fault.UNUSED_HEAD: lambda rng, family, width: _WithHead(width, rng.choice([4, 64])),
    Fault.LEAKING_BUFFER: lambda rng, family, width: _Leaking(),
    Fault.FROZEN_BRANCH: lambda rng, family, width: Branching(),
}
