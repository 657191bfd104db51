"""One input has samples along its first axis, the other, a mask, has none."""

import torch
from torch import nn

EXPERIMENT = """
escalation.calibration = 1
"""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(16, 32), nn.Linear(32, 4)

    def forward(self, x, mask):  # (N, 6, 16) and (6,)
        return (self.b(torch.relu(self.a(x))) * mask[None, :, None]).sum(1)


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 6, 16, generator=torch.Generator().manual_seed(1)), torch.ones(6))


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(8):
        yield (torch.randn(1, 6, 16, generator=g), (torch.rand(6, generator=g) > 0.3).float()), None


def calibration_data():
    return evaluation_data(3)
