"""A streaming convolution that keeps the last frames in a buffer, written in place."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv1d(4, 16, 5), nn.Linear(16, 4)
        self.register_buffer("past", torch.zeros(1, 4, 4))

    def forward(self, frame):  # (1, 4, 4): four new frames
        both = torch.cat([self.past, frame], -1)
        self.past.copy_(both[..., -4:])
        return self.head(torch.relu(self.conv(both)).mean(-1))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 4, 4, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(8):
        yield (torch.randn(1, 4, 4, generator=g),), None
