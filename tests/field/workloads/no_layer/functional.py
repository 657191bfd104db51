"""Parameters used by functions: a modulated convolution, F.linear, einsum, matmul, a parameter list."""

import torch
from torch import nn
from torch.nn import functional as F

EXPERIMENT = """
space.encodings = ["fp16", "lut4", "int8"]
search.solved_trials = 1
budget.trials = 4
escalation.calibration = 1
"""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.style = nn.Linear(16, 32)
        self.mod = nn.Conv2d(32, 32, 3, bias=False)  # StyleGAN-like: its weight is modulated in forward
        self.proj = nn.Linear(32, 64)  # used by F.linear, never called
        self.mix = nn.Parameter(torch.randn(64, 64) * 0.1)  # a bare parameter, in einsum
        self.bank = nn.ParameterList([nn.Parameter(torch.randn(64, 64) * 0.1) for _ in range(2)])
        self.last = nn.Linear(64, 8)

    def forward(self, image, code):
        weight = self.mod.weight * self.style(code).view(1, 32, 1, 1)
        h = F.conv2d(image, weight, padding=1).mean((2, 3))
        h = F.linear(h, self.proj.weight, self.proj.bias)
        h = torch.relu(torch.einsum("bi,io->bo", h, self.mix))
        for p in self.bank:
            h = torch.relu(h @ p)
        return self.last(h)


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    g = torch.Generator().manual_seed(1)
    return torch.randn(1, 32, 6, 6, generator=g), torch.randn(1, 16, generator=g)


def evaluation_data(seed=2, count=8):
    g = torch.Generator().manual_seed(seed)
    for _ in range(count):
        yield (torch.randn(1, 32, 6, 6, generator=g), torch.randn(1, 16, generator=g)), None


def calibration_data():
    return evaluation_data(3, 32)
