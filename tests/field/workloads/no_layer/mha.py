"""A transformer encoder of torch's own, whose attention projections are packed in one parameter."""

import torch
from torch import nn

EXPERIMENT = """
space.encodings = ["fp16", "lut8", "lut4", "int8", "int4-b32"]
escalation.calibration = 1
"""


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(16, 64)
        layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        return self.head(self.encoder(self.embed(x)).mean(1))


def model():
    torch.manual_seed(0)
    return Encoder()


def example_inputs():
    return (torch.randn(1, 12, 16, generator=torch.Generator().manual_seed(1)),)


def _data(seed):
    g = torch.Generator().manual_seed(seed)
    for _ in range(4):
        yield (torch.randn(4, 12, 16, generator=g),), torch.randint(0, 10, (4,), generator=g)


def evaluation_data():
    return _data(2)


def calibration_data():
    return _data(3)
