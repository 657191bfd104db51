"""What every trainable weight does, and a weight in fp16."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from palettune.evaluators.compression.errors import CompressionError
from tests.evaluators.fine_tuning.trainables import pair


def test_a_value_that_is_not_finite_is_an_error_with_its_layer() -> None:
    trainable = pair(nn.Linear(16, 16), "lut4")
    with torch.no_grad():
        next(trainable.tables.parameters()).fill_(float("nan"))
    with pytest.raises(CompressionError, match="layer '0' as lut4: training failed"):
        trainable.compressed()


def test_a_weight_in_fp16_is_rounded_and_has_no_metadata() -> None:
    module = nn.Linear(8, 4)
    trainable = pair(module, "fp16")
    assert torch.equal(trainable.compressed().weight, module.weight.detach().half().float())
    assert trainable.compressed().buffers == {}
    trainable.put(torch.full((4, 8), 1 / 3))
    assert torch.equal(trainable.decoded().detach(), torch.full((4, 8), 1 / 3).half().float())
    trainable.decoded().sum().backward()
    assert torch.equal(trainable.latent.grad, torch.ones(4, 8))
