"""Integers in training: rounded straight through, scales learned."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.evaluators.fine_tuning.trainables import pair, trained


@pytest.mark.parametrize("spelling", ["int8", "int4-b8", "uint4", "int8-asym"])
def test_integers_stay_in_range_and_scales_are_in_fp16(spelling: str) -> None:
    trainable = pair(nn.Linear(32, 24), spelling)
    trained(trainable)
    found, linear = trainable.compressed(), trainable.quantization
    scale = found.buffers["quantization_scale"]
    assert torch.equal(scale, scale.half().float())
    steps = linear.steps(trainable.latent).detach() + linear.wide_offset(trainable.latent.shape)
    assert torch.equal(steps, steps.round())
    assert linear.low <= steps.min() <= steps.max() <= linear.high


def test_gradients_reach_scales_and_only_values_inside_the_range() -> None:
    trainable = pair(nn.Linear(32, 24), "int8")
    with torch.no_grad():
        trainable.latent[0, 0] = 100.0
    trainable.decoded().sum().backward()
    assert trainable.latent.grad[0, 0] == 0
    assert (trainable.latent.grad[1:] != 0).float().mean() > 0.9
    assert trainable.quantization.scale.grad.abs().max() > 0
