"""Copies that share tensors."""

import torch
from torch import nn

from palettune.device_bench.model.shared_copy import shared_copy


def test_tensors_are_shared_or_replaced_wherever_they_are_held():
    model = nn.Sequential(nn.Linear(2, 2), nn.LSTM(2, 2))
    new = nn.Parameter(torch.zeros(8, 2))
    made = shared_copy(model, {id(model[1].weight_ih_l0): new})
    assert made is not model
    assert made[0].weight is model[0].weight
    assert made[1].weight_ih_l0 is new
    assert any(weight is new for weight in made[1]._flat_weights)
    made[0].bias = None
    assert model[0].bias is not None
