"""A counter of calls that scales the output: a number that the forward pass changes."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.calls = nn.Linear(16, 32), nn.Linear(32, 8), 0

    def forward(self, x):
        self.calls += 1
        return self.b(torch.relu(self.a(x))) / (1 + 0.01 * self.calls)


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 16, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(8):
        yield (torch.randn(1, 16, generator=g),), None
