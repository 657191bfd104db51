"""A matrix of (nodes, features) with no batch axis: its rows are not samples, since they are mixed."""

import torch
from torch import nn

EXPERIMENT = """
escalation.calibration = 1
"""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(12, 32), nn.Linear(32, 4)
        self.register_buffer("adjacency", torch.ones(7, 7).triu() / 7)

    def forward(self, nodes):
        return self.b(torch.relu(self.adjacency @ self.a(nodes)))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(7, 12, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(10):
        yield (torch.randn(7, 12, generator=g),), None


def calibration_data():
    return evaluation_data(3)
