"""Low-rank adapters merged at run time: the weight is W + B A, computed in the forward pass (LoRA)."""

import torch
from torch import nn
from torch.nn import functional as F

EXPERIMENT = """
space.encodings = ["fp16", "lut4", "int8"]
search.solved_trials = 1
budget.trials = 4
escalation.calibration = 1
"""


class LoraLinear(nn.Module):
    def __init__(self, i, o, rank=4):
        super().__init__()
        self.base = nn.Linear(i, o)
        self.down, self.up = nn.Linear(i, rank, bias=False), nn.Linear(rank, o, bias=False)

    def forward(self, x):
        return F.linear(x, self.base.weight + self.up.weight @ self.down.weight, self.base.bias)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = LoraLinear(32, 64), nn.Linear(64, 8)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2, count=6):
    g = torch.Generator().manual_seed(seed)
    for _ in range(count):
        yield (torch.randn(4, 32, generator=g),), torch.randint(0, 8, (4,), generator=g)


def calibration_data():
    return evaluation_data(3, 24)
