"""Outputs with None, a mapping, a list and a number among them."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(32, 64), nn.Linear(64, 10)

    def forward(self, x, mask=None):
        h = torch.relu(self.a(x))
        y = self.b(h)
        return y, None, {"best": y.argmax(-1), "aux": [h, None]}, y.shape[0]


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for _ in range(4):
        yield (torch.randn(4, 32, generator=g),), None


def metrics(outputs, targets):
    return {"mean": float(outputs[0].mean())}
