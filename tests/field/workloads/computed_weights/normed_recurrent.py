"""A recurrent layer with weight norm on its hidden weights, beside a normed linear layer."""

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = weight_norm(nn.GRU(8, 16, batch_first=True), "weight_hh_l0")
        self.head = weight_norm(nn.Linear(16, 4))

    def forward(self, x):
        return self.head(self.rnn(x)[0])


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 10, 8, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(2, 10, 8, generator=g),), None
