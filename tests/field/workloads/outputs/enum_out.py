"""Labels among the outputs: an enumeration, a flag and whole numbers beside the logits."""

from enum import Enum

import torch
from torch import nn


class Task(Enum):
    CLASSES = "classes"


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(16, 32), nn.Linear(32, 4)

    def forward(self, x):
        y = self.b(torch.relu(self.a(x)))
        return {"task": Task.CLASSES, "sure": True, "logits": y, "best": y.argmax(-1)}


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 16, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 16, generator=g),), torch.randint(0, 4, (4,), generator=g)
