"""Four layers with spectral norm whose weights are equal in shape."""

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


def model():
    torch.manual_seed(0)
    return nn.Sequential(*[m for _ in range(4) for m in (spectral_norm(nn.Linear(32, 32)), nn.ReLU())])


def example_inputs():
    return (torch.randn(1, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for _ in range(4):
        yield (torch.randn(4, 32, generator=g),), None
