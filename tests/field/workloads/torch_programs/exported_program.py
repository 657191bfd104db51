"""An exported program in a file, of a text encoder, for any batch."""

from pathlib import Path

import torch
from torch import nn

EXPERIMENT = """
space.encodings = ["fp16", "lut4", "int8"]
search.solved_trials = 1
budget.trials = 4
escalation.calibration = 1
"""

FILE = Path(__file__).with_name("model.pt2")


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 32)
        self.up, self.down = nn.Linear(32, 64), nn.Linear(64, 32)
        self.mix = nn.Parameter(torch.randn(32, 32) / 6)

    def forward(self, tokens):
        x = self.embed(tokens)
        x = x + self.down(torch.relu(self.up(x)))
        return {"pooled": (x @ self.mix).mean(1)}


def model():
    if not FILE.exists():
        torch.manual_seed(0)
        tokens = torch.zeros(2, 12, dtype=torch.int64)
        program = torch.export.export(Encoder().eval(), (tokens,), dynamic_shapes=({0: torch.export.Dim("batch")},))
        torch.export.save(program, FILE)
    return "model.pt2"


def example_inputs():
    return (_tokens(1, 1),)


def _tokens(seed, count):
    return torch.randint(0, 50, (count, 12), generator=torch.Generator().manual_seed(seed))


def evaluation_data():
    return [((_tokens(seed, 4),), None) for seed in range(2, 8)]


def calibration_data():
    return [((_tokens(seed, 4),), None) for seed in range(8, 16)]
