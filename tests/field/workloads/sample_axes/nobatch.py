"""A convolution on images without a batch axis."""

import torch
from torch import nn


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3))


def example_inputs():
    return (torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(1)),)


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for _ in range(6):
        yield (torch.randn(3, 16, 16, generator=g),), None
