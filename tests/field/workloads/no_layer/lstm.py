"""A bidirectional LSTM of two layers, and one that projects its outputs, with a small head."""

import torch
from torch import nn

EXPERIMENT = """
space.encodings = ["fp16", "lut4", "int8"]
search.solved_trials = 1
budget.trials = 4
escalation.calibration = 1
"""


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(32, 32, num_layers=2, batch_first=True, bidirectional=True)
        self.narrow = nn.LSTM(64, 48, proj_size=16, batch_first=True)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        y, _ = self.narrow(self.lstm(x)[0])
        return self.head(y[:, -1])


def model():
    torch.manual_seed(0)
    return Tagger()


def example_inputs():
    return (torch.randn(1, 4, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2, count=4):
    g = torch.Generator().manual_seed(seed)
    for _ in range(count):
        yield (torch.randn(4, 4, 32, generator=g),), torch.randint(0, 5, (4,), generator=g)


def calibration_data():
    return evaluation_data(3, 12)
