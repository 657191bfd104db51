"""A bidirectional LSTM of two layers with a small head."""

import torch
from torch import nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(32, 128, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(256, 5)

    def forward(self, x):
        y, _ = self.lstm(x)
        return self.head(y[:, -1])


def model():
    torch.manual_seed(0)
    return Tagger()


def example_inputs():
    return (torch.randn(1, 10, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for _ in range(4):
        yield (torch.randn(4, 10, 32, generator=g),), torch.randint(0, 5, (4,), generator=g)
