"""Weight standardization: each filter is normalized before it is used (BiT, NFNet)."""

import torch
from torch import nn
from torch.nn import functional as F

EXPERIMENT = """
space.encodings = ["fp16", "lut4", "int8"]
search.solved_trials = 1
budget.trials = 4
escalation.calibration = 1
"""


class StdConv2d(nn.Conv2d):
    def forward(self, x):
        w = self.weight
        mean, std = w.mean((1, 2, 3), keepdim=True), w.std((1, 2, 3), keepdim=True)
        return F.conv2d(x, (w - mean) / (std + 1e-5), self.bias, padding=1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.middle = StdConv2d(3, 16, 3), StdConv2d(16, 32, 3)
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        return self.head(torch.relu(self.middle(torch.relu(self.stem(x)))).mean((2, 3)))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 3, 8, 8, generator=g),), torch.randint(0, 10, (4,), generator=g)


def calibration_data():
    return evaluation_data(3)
