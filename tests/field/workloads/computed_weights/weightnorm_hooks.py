"""The older weight and spectral norm, which compute the weight in a hook."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.utils.weight_norm(nn.Conv1d(4, 16, 3, padding=1))
        self.b = nn.utils.spectral_norm(nn.Conv1d(16, 8, 3, padding=1))

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 4, 16, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(2, 4, 16, generator=g),), None
