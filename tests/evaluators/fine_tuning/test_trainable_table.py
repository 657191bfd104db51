"""Tables in training: entries and scales learned, indices assigned anew."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from experiments.benchmarks.random_layers import layer_of
from palettune.evaluators.compression.compression import compress
from palettune.evaluators.fine_tuning.trainable_table import TrainableTable
from palettune.space.encoding import Encoding
from tests.evaluators.fine_tuning.trainables import pair, trained


def test_training_leaves_channels_of_zeros_as_they_are() -> None:
    module = nn.Linear(16, 24)
    module.weight.data[::3] = 0
    layer, encoding = layer_of(module), Encoding.parse("lut4-scaled")
    start = compress(module.weight, layer, encoding)
    trainable = TrainableTable(layer, encoding, start, module.weight.data)
    assert torch.equal(trainable.decoded(), start.weight)
    trainable.decoded().square().sum().backward()
    for parameter in trainable.parameters():
        assert torch.isfinite(parameter.grad).all()
        parameter.data -= 0.01 * parameter.grad
    trainable.put(trainable.decoded().detach())
    assert not trainable.decoded()[::3].any()
    assert torch.isfinite(trainable.decoded()).all()


@pytest.mark.parametrize("spelling", ["lut4", "lut2-g8", "lut4-v2", "lut4-int8"])
def test_every_value_is_the_nearest_entry_of_its_table(spelling: str) -> None:
    trainable = pair(nn.Linear(32, 24), spelling)
    trained(trainable)
    entries = trainable.tables.stored().detach()
    latent = trainable.layout.fold(trainable.latent.detach())
    found = trainable.layout.fold(trainable.decoded().detach())
    distances = torch.cdist(latent, entries).amin(-1)
    assert torch.allclose((found - latent).norm(dim=-1), distances, atol=1e-3)


def test_entries_of_8_bits_stay_integers_in_range() -> None:
    trainable = pair(nn.Linear(32, 24), "lut4-int8")
    with torch.no_grad():
        trainable.tables.entries.mul_(100)
    steps = trainable.tables.stored() / trainable.tables.scale
    assert torch.allclose(steps, steps.round(), atol=1e-3)
    assert steps.max() <= 127
