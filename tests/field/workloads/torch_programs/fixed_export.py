"""An exported program that takes one image at a time, of one size."""

import torch
from torch import nn


def model():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return torch.export.export(nn.Sequential(layers, nn.Linear(16, 10)).eval(), example_inputs())


def _image(seed):
    return torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(seed))


def example_inputs():
    return (_image(1),)


def evaluation_data():
    return [((_image(seed),), None) for seed in range(2, 10)]


def calibration_data():
    return [((_image(seed),), None) for seed in range(10, 14)]
