"""Channels that training has set to zero, a third of them."""

import torch
from torch import nn

EXPERIMENT = """
space.encodings = ["fp16", "lut4-scaled", "int8", "int4-b4", "lut4"]
"""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 24, 3, padding=1), nn.Conv2d(24, 8, 1)
        with torch.no_grad():
            self.a.weight[::3] = 0
            self.b.weight[:, ::3] = 0

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 4, 6, 6, generator=g),), None
