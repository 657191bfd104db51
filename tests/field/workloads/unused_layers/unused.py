"""A pooler and an auxiliary head that evaluation does not use."""

import torch
from torch import nn


class Net(nn.Module):
    """With a pooler and an auxiliary head that evaluation does not use, as BERT encoders and GoogLeNet have."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(32, 128), nn.Linear(128, 10)
        self.pooler = nn.Linear(128, 256)
        self.aux = nn.Linear(128, 10)

    def forward(self, x):
        h = torch.relu(self.a(x))
        if self.training:
            return self.b(h), self.aux(h)
        return self.b(h)


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for _ in range(4):
        yield (torch.randn(4, 32, generator=g),), torch.randint(0, 10, (4,), generator=g)
