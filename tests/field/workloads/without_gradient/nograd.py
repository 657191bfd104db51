"""A forward pass under torch.no_grad: no gradient reaches any layer."""

import torch
from torch import nn

EXPERIMENT = """
space.encodings = ["fp16", "lut8", "lut4", "lut2", "int8"]
"""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(64, 256), nn.Linear(256, 256), nn.Linear(256, 10)

    @torch.no_grad()
    def forward(self, x):
        return self.c(torch.relu(self.b(torch.relu(self.a(x)))))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 64, generator=torch.Generator().manual_seed(1)),)


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for _ in range(4):
        yield (torch.randn(4, 64, generator=g),), torch.randint(0, 10, (4,), generator=g)
