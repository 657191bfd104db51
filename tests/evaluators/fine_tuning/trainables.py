"""Trainable weights of single layers, and a short training of them, for tests."""

from __future__ import annotations

import torch
from torch import nn

from experiments.benchmarks.random_layers import layer_of
from palettune.evaluators.compression.compression import compress
from palettune.evaluators.fine_tuning.trainable_layers import trainable_weight
from palettune.evaluators.fine_tuning.trainable_weight import TrainableWeight
from palettune.space.encoding import Encoding


def trained(trainable: TrainableWeight, steps: int = 6, seed: int = 0) -> list[float]:
    """Towards another weight, with steps large enough to move indices and integers."""
    generator = torch.Generator().manual_seed(seed)
    start = trainable.decoded().detach()
    goal = 1.3 * start + 0.2 * start.std() * torch.randn(start.shape, generator=generator)
    rates = [{"params": [p], "lr": 0.05 * float(p.detach().square().mean().sqrt())} for p in trainable.parameters()]
    optimizer, losses = torch.optim.Adam(rates), []
    for step in range(steps):
        trainable.advance(step / steps)
        optimizer.zero_grad()
        loss = (trainable.decoded() - goal).square().sum()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    trainable.advance(1.0)
    return losses


def pair(module: nn.Module, spelling: str, gradual: bool = False) -> TrainableWeight:
    layer, encoding = layer_of(module), Encoding.parse(spelling)
    weight = module.weight.detach().clone()
    return trainable_weight(layer, encoding, compress(module.weight, layer, encoding), weight, gradual)
