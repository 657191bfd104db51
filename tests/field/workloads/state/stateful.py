"""A key-value cache in buffers that the forward pass writes in place, one token after another."""

import torch
from torch import nn


class Decoder(nn.Module):
    def __init__(self, d=32, length=16):
        super().__init__()
        self.embed = nn.Embedding(50, d)
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))
        self.head = nn.Linear(d, 50)
        self.register_buffer("k_cache", torch.zeros(1, length, d))
        self.register_buffer("v_cache", torch.zeros(1, length, d))

    def forward(self, ids, position_mask):  # one token; the mask is one-hot of its position
        x = self.embed(ids)
        at = position_mask.unsqueeze(-1)
        self.k_cache.mul_(1 - at).add_(at * self.k(x))
        self.v_cache.mul_(1 - at).add_(at * self.v(x))
        scores = self.q(x) @ self.k_cache.transpose(1, 2) / 6.0
        return self.head(self.o(scores.softmax(-1) @ self.v_cache))[:, 0]


def model():
    torch.manual_seed(0)
    return Decoder()


def example_inputs():
    return torch.zeros(1, 1, dtype=torch.int64), torch.eye(16)[:1]


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for i in range(12):
        yield (
            (torch.randint(0, 50, (1, 1), generator=g), torch.eye(16)[i : i + 1]),
            torch.randint(0, 50, (1,), generator=g),
        )
