"""A large recurrent layer beside a small head."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(16, 64, batch_first=True), nn.Linear(64, 4)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 8, 16, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 8, 16, generator=g),), torch.randint(0, 4, (4,), generator=g)
