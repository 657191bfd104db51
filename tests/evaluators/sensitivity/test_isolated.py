"""Isolated scores are the divergences of a plain forward pass with one layer compressed."""

import copy

import numpy as np
import torch
from torch import nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.quality.divergence import Reference
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.sensitivity.base import ScoringSetting
from palettune.evaluators.sensitivity.isolated import IsolatedScore
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.space.encoding import Encoding


def test_a_score_is_the_divergence_of_one_compressed_layer(tmp_path):
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 5)).eval()
    weights = LayerWeights(model, layers_of(model), WeightBank(tmp_path))
    samples = [(sample[None],) for sample in torch.randn(30, 8)]
    column = ("2", Encoding.parse("lut2"))
    found = IsolatedScore(ScoringSetting(model, weights, DivergenceKind.KL)).score([column], samples)
    changed = copy.deepcopy(model)
    changed[2].weight.data.copy_(weights.get(*column).weight)
    inputs = torch.cat([sample for (sample,) in samples])
    expected = Reference.of(DivergenceKind.KL, [model(inputs)]).by_sample(0, changed(inputs)).detach()
    assert np.allclose(found.by_sample[:, 0], expected, rtol=1e-4, atol=1e-9)
    assert found.score(*column) > 0


def test_it_is_split_by_columns_so_that_the_float_model_runs_once_a_part():
    parts = IsolatedScore.parts(columns=10, samples=40, count=3)
    assert all(part.samples == range(40) for part in parts)
    assert [i for part in parts for i in part.columns] == list(range(10))
