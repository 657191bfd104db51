"""Activations of several thousand: large, and within fp16. Nothing is wrong with it."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(32, 64), nn.Linear(64, 8)
        nn.init.uniform_(self.a.weight, -700.0, 700.0)
        self.norm = nn.LayerNorm(64)

    def forward(self, x):
        return self.b(self.norm(self.a(x.clamp(-2, 2))))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 32, generator=g),), torch.randint(0, 8, (4,), generator=g)
