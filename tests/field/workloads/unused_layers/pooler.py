"""A pooler and a head for another task, as encoders have, of which the forward pass uses neither."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(60, 32)
        self.body = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))
        self.pooler, self.next_sentence = nn.Linear(32, 256), nn.Linear(256, 2)

    def forward(self, ids):
        return self.body(self.embed(ids)).mean(1)


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.arange(8)[None],)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randint(0, 60, (4, 8), generator=g),), None
