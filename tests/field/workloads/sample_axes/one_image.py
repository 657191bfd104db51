"""A vision transformer written for one image: it reshapes to (1, ...)."""

import torch
from torch import nn

EXPERIMENT = """
escalation.calibration = 1
"""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch, self.norm = nn.Conv2d(3, 32, 4, 4), nn.LayerNorm(32)
        self.mix, self.head = nn.Linear(32, 32), nn.Linear(32, 8)

    def forward(self, x):
        t = self.patch(x).reshape(1, 32, 4).transpose(1, 2)
        return self.head(torch.relu(self.mix(self.norm(t))).mean(1))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(12):
        yield (torch.randn(1, 3, 8, 8, generator=g),), torch.randint(0, 8, (1,), generator=g)


def calibration_data():
    return evaluation_data(3)
