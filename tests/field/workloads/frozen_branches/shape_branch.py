"""A branch on a shape, which never changes: nothing is frozen that could go another way."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(16, 32), nn.Linear(32, 8)

    def forward(self, x):
        h = torch.relu(self.a(x))
        return self.b(h) if x.shape[-1] == 16 else h


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 16, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 16, generator=g),), torch.randint(0, 8, (4,), generator=g)
