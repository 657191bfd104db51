"""Weights that other weights make: concatenated projections, a positive matrix, and a network that writes a weight."""

import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k = nn.Linear(32, 32), nn.Linear(32, 32)
        self.raw = nn.Parameter(torch.randn(32, 32))
        self.code = nn.Parameter(torch.randn(8))
        self.maker = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 32 * 16))

    def forward(self, x):
        q, k = F.linear(x, torch.cat([self.q.weight, self.k.weight])).chunk(2, -1)
        x = torch.relu(q * k.sigmoid()) @ F.softplus(self.raw).t() / 32
        return F.linear(x, self.maker(self.code).view(16, 32))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    return [((torch.randn(4, 32, generator=g),), None) for _ in range(6)]


def calibration_data():
    return evaluation_data(3)
