"""Two experts, chosen by what comes in: tracing takes the example's, and half of the data take the other."""

import torch
from torch import nn


class Net(nn.Module):
    """Two experts, chosen by what comes in; and a number taken out of a tensor."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(32, 64), nn.Linear(32, 64)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        h = self.a(x) if x.mean() > 0 else self.b(x)
        return self.head(torch.relu(h))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.rand(1, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for i in range(16):
        x = torch.rand(1, 32, generator=g)
        yield (x if i < 8 else -x,), torch.randint(0, 10, (1,), generator=g)
