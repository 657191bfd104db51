"""Half of the features are detached, as a frozen backbone's are."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone, self.side, self.head = nn.Linear(32, 48), nn.Linear(32, 16), nn.Linear(64, 8)

    def forward(self, x):
        return self.head(torch.cat([torch.relu(self.backbone(x)).detach(), torch.relu(self.side(x))], -1))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 32, generator=g),), torch.randint(0, 8, (4,), generator=g)
