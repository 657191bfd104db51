"""Sparse weights in training: zeros come gradually, and stay."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from palettune.evaluators.compression.sparse import TAKEN_FOR_ZERO
from tests.evaluators.fine_tuning.trainables import pair, trained


@pytest.mark.parametrize("spelling", ["sparse80", "sparse75+lut2", "sparse50+int8", "sparse50-kernel"])
def test_gradual_pruning_ends_at_the_sparsity_asked_for(spelling: str) -> None:
    torch.manual_seed(3)
    module = nn.Conv2d(16, 24, 3)
    trainable, start = pair(module, spelling, gradual=True), pair(module, spelling)
    assert not trainable.settled
    assert trainable.decoded().count_nonzero() == module.weight.numel()
    counts = []
    for step in range(10):
        trainable.advance(step / 10)
        counts.append(int(trainable.decoded().count_nonzero()))
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) > 3
    assert trainable.settled
    assert torch.equal(trainable.compressed().weight, start.compressed().weight)
    trained(trainable)
    assert int(trainable.compressed().weight.count_nonzero()) == int(start.compressed().weight.count_nonzero())


@pytest.mark.parametrize("spelling", ["sparse50", "sparse50+lut4-scaled", "sparse50+int8"])
def test_no_kept_value_comes_so_near_to_zero_that_the_converter_drops_it(spelling: str) -> None:
    module = nn.Linear(32, 24)
    module.weight.data *= 0.02
    trainable = pair(module, spelling)
    trained(trainable)
    weight = trainable.compressed().weight
    assert weight[weight != 0].abs().min() > TAKEN_FOR_ZERO
