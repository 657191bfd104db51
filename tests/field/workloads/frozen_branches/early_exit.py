"""An early exit: where the first head is sure, the second is not asked."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.early, self.b, self.late = nn.Linear(16, 32), nn.Linear(32, 4), nn.Linear(32, 32), nn.Linear(32, 4)

    def forward(self, x):
        h = torch.relu(self.a(x))
        first = self.early(h)
        if first.softmax(-1).max() > 0.5:
            return first
        return self.late(torch.relu(self.b(h)))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (0.1 * torch.randn(1, 16, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(12):
        yield ((0.1 if _ < 6 else 9.0) * torch.randn(1, 16, generator=g),), None
