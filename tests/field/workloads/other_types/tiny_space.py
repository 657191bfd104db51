"""Two layers of two encodings: four configurations, fewer than the trials asked for."""

import torch
from torch import nn

EXPERIMENT = """
space.encodings = ["fp16", "lut4"]
"""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(16, 32), nn.Linear(32, 4)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 16, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 16, generator=g),), torch.randint(0, 4, (4,), generator=g)
