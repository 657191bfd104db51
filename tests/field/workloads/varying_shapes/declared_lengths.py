"""Token sequences of many lengths, for a package that takes them all."""

import torch
from torch import nn

EXPERIMENT = """
inputs.ids.shape = [1, "1..64"]
inputs.ids.name = "input_ids"
outputs.output = "logits"
"""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(100, 32)
        self.conv = nn.Conv1d(32, 64, 3, padding=1)
        self.head = nn.Linear(64, 10)

    def forward(self, ids):
        return self.head(torch.relu(self.conv(self.embed(ids).transpose(1, 2))).transpose(1, 2))


def model():
    torch.manual_seed(0)
    return Net()


def example_inputs():
    return (torch.arange(24)[None],)


def evaluation_data():
    g = torch.Generator().manual_seed(2)
    for n in (5, 9, 17, 24, 31, 12, 7, 40):
        yield (torch.randint(0, 100, (1, n), generator=g),), None
