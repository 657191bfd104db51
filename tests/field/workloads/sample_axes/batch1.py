"""A network written for a batch of one, with a calibration that would join samples."""

import torch
from torch import nn

EXPERIMENT = """
escalation.calibration = 1
"""


class Net(nn.Module):
    """Written for a batch of one, as models made for the Neural Engine often are."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.LayerNorm(16)
        self.fc = nn.Linear(16 * 64, 10)

    def forward(self, x):
        h = torch.relu(self.conv(x)).reshape(1, 16, 64).transpose(1, 2)
        return self.fc(self.norm(h).reshape(1, 1024))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(12):
        yield (torch.randn(1, 3, 8, 8, generator=g),), torch.randint(0, 10, (1,), generator=g)


def calibration_data():
    return evaluation_data(3)
