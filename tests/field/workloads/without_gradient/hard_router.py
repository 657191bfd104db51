"""A router whose largest logit picks the expert: the router itself gets no gradient."""

import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.router = nn.Linear(16, 4)
        self.experts = nn.Linear(16, 4 * 8)

    def forward(self, x):
        chosen = F.one_hot(self.router(x).argmax(-1), 4).float()
        return (self.experts(x).reshape(-1, 4, 8) * chosen.unsqueeze(-1)).sum(1)


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 16, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 16, generator=g),), None
