"""Frozen layers whose weights are buffers, as random projections and filter banks are."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.projection, self.head = nn.Linear(32, 64), nn.Linear(64, 8)
        weight = self.projection.weight.detach()
        del self.projection.weight
        self.projection.register_buffer("weight", weight)

    def forward(self, x):
        return self.head(torch.relu(self.projection(x)))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 32, generator=g),), torch.randint(0, 8, (4,), generator=g)
