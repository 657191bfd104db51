"""Tensors of a module, whatever holds them."""

import torch
from torch import nn

from palettune.evaluators.computed_weights.held_tensors import held_tensors


def test_parameters_buffers_and_attributes_are_found_and_those_of_children_are_not() -> None:
    module = nn.Sequential(nn.Linear(2, 2))
    module.register_buffer("seen", torch.zeros(1))
    module.register_parameter("weight", nn.Parameter(torch.zeros(2)))
    module.register_parameter("none", None)
    module.scale = torch.ones(())
    module.words = ["a"]
    assert [name for name, _ in held_tensors(module)] == ["weight", "seen", "scale"]
