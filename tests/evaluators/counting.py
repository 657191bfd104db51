"""A model that adds up what it is given: the smallest one with state."""

import torch
from torch import nn

from palettune.evaluators.workload.state_check import find_state


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(1))

    def forward(self, value):
        self.total += value
        return self.total


def state_of(model):
    """Its state, as found by running it."""
    example = (torch.ones(1),)
    state, _ = find_state(model, lambda inputs: model(*inputs), example, [example, example], None)
    return state
