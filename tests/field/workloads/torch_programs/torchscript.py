"""A scripted module read from a file."""

from pathlib import Path

import torch
from torch import nn

FILE = Path(__file__).with_name("model.pt")


def model():
    if not FILE.exists():
        torch.manual_seed(0)
        torch.jit.script(nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10)).eval()).save(FILE)
    return torch.jit.load(FILE)


def example_inputs():
    return (torch.randn(1, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for _ in range(4):
        yield (torch.randn(4, 32, generator=g),), torch.randint(0, 10, (4,), generator=g)
