"""A checkpoint in fp16, and data in fp16 as well."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.Linear(16, 8)

    def forward(self, x):
        return self.b(torch.relu(self.norm(self.a(x))).mean((2, 3)))


def model():
    torch.manual_seed(0)
    return Net().half()


def example_inputs():
    return (torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)).half(),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 3, 8, 8, generator=g).half(),), torch.randint(0, 8, (4,), generator=g)
