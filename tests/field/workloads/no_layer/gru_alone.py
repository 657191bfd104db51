"""A GRU, and nothing else."""

import torch
from torch import nn

EXPERIMENT = """
space.encodings = ["fp16", "lut4", "int8"]
search.solved_trials = 1
budget.trials = 4
escalation.calibration = 1
"""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(16, 24, batch_first=True)

    def forward(self, x):
        return self.rnn(x)[0][:, -1]


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 6, 16, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2, count=4):
    g = torch.Generator().manual_seed(seed)
    for _ in range(count):
        yield (torch.randn(4, 6, 16, generator=g),), None


def calibration_data():
    return evaluation_data(3, 12)
