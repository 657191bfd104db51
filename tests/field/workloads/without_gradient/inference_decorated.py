"""A forward pass under torch.inference_mode, as serving code writes it: no gradient reaches any layer."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(32, 64), nn.Linear(64, 64), nn.Linear(64, 8)

    @torch.inference_mode()
    def forward(self, x):
        return self.c(torch.relu(self.b(torch.relu(self.a(x)))))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 32, generator=g),), torch.randint(0, 8, (4,), generator=g)
