"""The tensors of a model by name."""

import torch
from torch import nn

from palettune.device_bench.model.named_tensors import matrices, named_tensors


def test_each_tensor_has_its_first_name_and_only_matrices_of_floats_count():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5), nn.BatchNorm1d(5))
    model[1].weight = model[0].weight
    model.register_buffer("mask", torch.ones(2, 2, dtype=torch.bool))
    model.register_buffer("basis", torch.ones(2, 2), persistent=False)
    names = [name for name, _ in named_tensors(model)]
    assert names[:2] == ["0.weight", "1.bias"]
    assert "1.weight" not in names
    assert list(matrices(model)) == ["0.weight", "basis"]
