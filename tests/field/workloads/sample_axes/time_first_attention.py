"""Attention over (time, batch, features)."""

import torch
from torch import nn

EXPERIMENT = """
escalation.calibration = 1
"""


class Net(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))

    def forward(self, x):
        q, k, v = (m(x).transpose(0, 1) for m in (self.q, self.k, self.v))
        h = (q @ k.transpose(1, 2) / 6.0).softmax(-1) @ v
        return self.o(h.transpose(0, 1))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(9, 1, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(9, 3, 32, generator=g),), None


def calibration_data():
    return evaluation_data(3)
