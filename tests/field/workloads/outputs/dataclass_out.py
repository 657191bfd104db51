"""A dataclass as output, with an entry that is None and one that is a string."""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Output:
    logits: torch.Tensor
    hidden: torch.Tensor | None = None
    note: str = "ok"
    loss: torch.Tensor | None = None


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(16, 32), nn.Linear(32, 4)

    def forward(self, x):
        h = torch.relu(self.a(x))
        return Output(self.b(h), h)


def metrics(outputs, targets):
    return {"top1": float((outputs.logits.argmax(-1) == targets).float().mean())}


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.randn(1, 16, generator=torch.Generator().manual_seed(1)),)


def evaluation_data(seed=2):
    g = torch.Generator().manual_seed(seed)
    for _ in range(6):
        yield (torch.randn(4, 16, generator=g),), torch.randint(0, 4, (4,), generator=g)
