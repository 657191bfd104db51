"""Fine in float32; its middle activations are far beyond 65,504, and normalized again behind."""

import torch
from torch import nn


class Net(nn.Module):
    """Fine in float32; its middle activations are far beyond 65504, and normalized again behind."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(64, 128), nn.Linear(128, 128), nn.Linear(128, 10)
        with torch.no_grad():
            self.a.weight.mul_(800)
            self.b.weight.mul_(800)
        self.norm = nn.LayerNorm(128)

    def forward(self, x):
        return self.c(self.norm(self.b(torch.relu(self.a(x)))))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 64, generator=torch.Generator().manual_seed(1)),)


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for _ in range(4):
        yield (torch.randn(4, 64, generator=g),), torch.randint(0, 10, (4,), generator=g)
