"""A checkpoint in bfloat16."""

import torch
from torch import nn


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(100, 32), nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10)).to(torch.bfloat16)


def example_inputs():
    return (torch.arange(8)[None],)


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for _ in range(4):
        yield (torch.randint(0, 100, (4, 8), generator=g),), None
