"""One encoder for two inputs, and a head that both need: a module that is used twice."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(24, 64), nn.ReLU(), nn.Linear(64, 16))
        self.head = nn.Linear(32, 4)

    def forward(self, a, b):
        return self.head(torch.cat([self.encoder(a), self.encoder(b)], -1))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (
        torch.randn(1, 24, generator=torch.Generator().manual_seed(1)),
        torch.randn(1, 24, generator=torch.Generator().manual_seed(1)),
    )


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 24, generator=g), torch.randn(4, 24, generator=g)), torch.randint(0, 4, (4,), generator=g)
