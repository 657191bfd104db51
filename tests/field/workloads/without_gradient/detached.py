"""Codes chosen by an argmax, and a table used as codebook and as embedding: an encoder without gradient."""

import torch
from torch import nn

EXPERIMENT = """
space.encodings = ["fp16", "lut8", "lut4", "lut2", "int8"]
"""


class Net(nn.Module):
    """A frozen backbone whose features are taken under no_grad, and codes chosen by argmin (VQ), then a decoder."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 32))
        self.codes = nn.Embedding(64, 32)
        self.decoder = nn.Sequential(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 64))

    def forward(self, x):
        z = self.encoder(x)
        index = (z @ self.codes.weight.t() - 0.5 * self.codes.weight.square().sum(-1)).argmax(-1)
        return self.decoder(self.codes(index))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 64, generator=torch.Generator().manual_seed(1)),)


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for _ in range(4):
        yield (torch.randn(8, 64, generator=g),), None
