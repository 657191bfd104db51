"""A classifier by cosines: its weight is normalized by row before use (ArcFace, face recognition)."""

import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 48))
        self.head = nn.Linear(48, 20, bias=False)

    def forward(self, x):
        return 10 * F.linear(F.normalize(self.body(x)), F.normalize(self.head.weight))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 32, generator=g),), torch.randint(0, 20, (4,), generator=g)
