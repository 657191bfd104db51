"""A recurrent network on (time, batch, features)."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp = nn.Linear(16, 32)
        self.rnn = nn.GRU(32, 64)
        self.out = nn.Linear(64, 8)

    def forward(self, x):  # (time, batch, features)
        return self.out(self.rnn(torch.relu(self.inp(x)))[0])


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(20, 1, 16, generator=torch.Generator().manual_seed(1)),)


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for _ in range(6):
        yield (torch.randn(20, 1, 16, generator=g),), None
