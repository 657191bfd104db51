"""A vocoder whose convolutions have the newer weight norm."""

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

EXPERIMENT = """
space.encodings = ["fp16", "lut4", "int8"]
search.solved_trials = 1
budget.trials = 4
escalation.calibration = 1
"""


class Vocoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.pre = weight_norm(nn.Conv1d(8, 32, 7, padding=3))
        self.up = weight_norm(nn.ConvTranspose1d(32, 16, 4, stride=2, padding=1))
        self.post = weight_norm(nn.Conv1d(16, 1, 7, padding=3))
        self.plain = nn.Conv1d(8, 8, 3, padding=1)

    def forward(self, mel):
        return torch.tanh(self.post(torch.relu(self.up(torch.relu(self.pre(self.plain(mel)))))))


def model():
    torch.manual_seed(0)
    return Vocoder()


def example_inputs():
    return (torch.randn(1, 8, 20, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(4):
        yield (torch.randn(4, 8, 20, generator=g),), None


def calibration_data():
    return evaluation_data(3)
