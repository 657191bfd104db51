"""Weights that are bare parameters, used with matmul."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = nn.Parameter(0.1 * torch.randn(32, 128))
        self.head = nn.Linear(128, 4)

    def forward(self, x):
        return self.head(torch.relu(x @ self.wide))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 32, generator=g),), torch.randint(0, 4, (4,), generator=g)
