"""A model in float64, as scientific code has it."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(16, 32), nn.Linear(32, 4)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


def model():
    torch.manual_seed(0)
    return Net().double()


def example_inputs():
    return (torch.randn(1, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 16, generator=g, dtype=torch.float64),), None
