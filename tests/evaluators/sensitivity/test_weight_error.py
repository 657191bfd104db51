"""The weight error is the relative squared change of the weight."""

import pytest
import torch
from torch import nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.sensitivity.base import ScoringSetting
from palettune.evaluators.sensitivity.weight_error import WeightErrorScore
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.space.encoding import Encoding


def test_it_is_the_relative_squared_change_and_needs_no_samples(tmp_path):
    model = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 5))
    model[1].weight.data.zero_()
    weights = LayerWeights(model, layers_of(model), WeightBank(tmp_path))
    lut2 = Encoding.parse("lut2")
    scores = WeightErrorScore(ScoringSetting(model, weights, DivergenceKind.KL)).score([("0", lut2), ("1", lut2)], [])
    weight = model[0].weight.detach()
    expected = (weights.get("0", lut2).weight - weight).square().sum() / weight.square().sum()
    assert scores.score("0", lut2) == pytest.approx(float(expected), rel=1e-6)
    assert scores.score("1", lut2) == 0  # a weight of zeros cannot change relative to itself
    assert torch.equal(model[0].weight, weight)
