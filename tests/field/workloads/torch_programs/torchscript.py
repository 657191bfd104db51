"""A scripted module read from a file."""

from pathlib import Path

import torch
from torch import nn

EXPERIMENT = """
space.encodings = ["fp16", "lut4", "int8"]
search.solved_trials = 1
budget.trials = 4
escalation.calibration = 1
"""

FILE = Path(__file__).with_name("model.pt")


def model():
    if not FILE.exists():
        torch.manual_seed(0)
        torch.jit.script(nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10)).eval()).save(FILE)
    return torch.jit.load(FILE)


def example_inputs():
    return (torch.randn(1, 32, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2, count=4):
    g = torch.Generator().manual_seed(seed)
    for _ in range(count):
        yield (torch.randn(4, 32, generator=g).cumsum(1) / 4,), torch.randint(0, 10, (4,), generator=g)


def calibration_data():
    return evaluation_data(3, 12)
