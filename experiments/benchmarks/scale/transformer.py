"""Workload: a decoder of 135 million weights in plain torch, with random weights, on random tokens.

The shapes are those of SmolLM2-135M (https://huggingface.co/HuggingFaceTB/SmolLM2-135M): 30 blocks of width 576, nine
heads that share three keys and values, a gated feed-forward of 1536, and an embedding that is also the output layer.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

VOCABULARY, WIDTH, HIDDEN, BLOCKS, HEADS, KEYS = 49152, 576, 1536, 30, 9, 3
LENGTH = 64  # tokens of a sequence
SEQUENCES, BATCH = {"evaluation": 8, "calibration": 32}, 4
SHARPNESS = 5.0  # of the last normalization, so that random weights give distributions that are not flat

Batch = tuple[tuple[Tensor, ...], None]


class Attention(nn.Module):
    """Causal attention in which groups of heads share keys and values; (N, T, WIDTH) to the same."""

    def __init__(self) -> None:
        super().__init__()
        self.head = WIDTH // HEADS
        self.query = nn.Linear(WIDTH, WIDTH, bias=False)
        self.key, self.value = (nn.Linear(WIDTH, KEYS * self.head, bias=False) for _ in range(2))
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mix positions."""
        samples, length = x.shape[:2]
        query, key, value = (
            part(x).reshape(samples, length, -1, self.head).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        key, value = (part.repeat_interleave(HEADS // KEYS, dim=1) for part in (key, value))
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(samples, length, WIDTH))


class Block(nn.Module):
    """Attention and a gated feed-forward, each after a normalization and added to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.norm2 = nn.RMSNorm(WIDTH), nn.RMSNorm(WIDTH)
        self.attention = Attention()
        self.gate, self.up = (nn.Linear(WIDTH, HIDDEN, bias=False) for _ in range(2))
        self.down = nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, WIDTH) to the same."""
        x = x + self.attention(self.norm(x))
        y = self.norm2(x)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))


class Decoder(nn.Module):
    """Tokens (N, T) to logits (N, T, VOCABULARY)."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.norm = nn.RMSNorm(WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next token at every position."""
        x = self.tokens(tokens) + self.positions.weight[: tokens.shape[1]]
        return functional.linear(self.norm(self.blocks(x)), self.tokens.weight)


def model() -> Decoder:
    """The decoder with random weights of seed 0."""
    torch.manual_seed(0)
    network = Decoder()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.04)
    nn.init.constant_(network.norm.weight, SHARPNESS)
    return network


def example_inputs() -> tuple[Tensor, ...]:
    """One sequence, (1, LENGTH)."""
    return (_tokens(0, 1),)


def evaluation_data() -> Iterator[Batch]:
    """Random sequences, without targets."""
    return _batches(1, SEQUENCES["evaluation"])


def calibration_data() -> Iterator[Batch]:
    """Others."""
    return _batches(2, SEQUENCES["calibration"])


def _batches(seed: int, count: int) -> Iterator[Batch]:
    return (((tokens,), None) for tokens in _tokens(seed, count).split(BATCH))


def _tokens(seed: int, count: int) -> Tensor:
    return torch.randint(VOCABULARY, (count, LENGTH), generator=torch.Generator().manual_seed(seed))
