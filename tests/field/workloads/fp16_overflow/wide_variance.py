"""A normalization written by hand: squares of values near 400 are summed over 512 channels, beyond 65,504."""

import torch
from torch import nn


class HandNorm(nn.Module):
    def forward(self, x):
        return x / x.pow(2).sum(-1, keepdim=True).sqrt()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(32, 512), HandNorm(), nn.Linear(512, 8)
        nn.init.normal_(self.a.weight, std=60.0)

    def forward(self, x):
        return self.b(self.norm(self.a(x)))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 32, generator=g),), torch.randint(0, 8, (4,), generator=g)
