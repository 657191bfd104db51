"""Equalized learning rate: every weight is multiplied by a constant before use (StyleGAN)."""

import torch
from torch import nn
from torch.nn import functional as F

EXPERIMENT = """
space.encodings = ["fp16", "lut4", "int8"]
search.solved_trials = 1
budget.trials = 4
escalation.calibration = 1
"""


class EqualLinear(nn.Linear):
    def forward(self, x):
        return F.linear(x, self.weight * (1 / self.in_features**0.5), self.bias)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.mapping = nn.Sequential(EqualLinear(32, 64), nn.LeakyReLU(0.2), EqualLinear(64, 64), nn.LeakyReLU(0.2))
        self.out = nn.Linear(64, 16)

    def forward(self, z):
        return self.out(self.mapping(z))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 32, generator=g),), None


def calibration_data():
    return evaluation_data(3)
