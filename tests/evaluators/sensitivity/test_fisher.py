"""Fisher scores against what they estimate."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.quality.divergence import Reference
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.sensitivity.base import ScoringSetting
from palettune.evaluators.sensitivity.fisher import FisherScore
from palettune.evaluators.sensitivity.isolated import IsolatedScore
from palettune.evaluators.sensitivity.weight_error import WeightErrorScore
from palettune.evaluators.weights.assembly import Assembler, LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.evaluators.workload.samples import single_samples
from palettune.evaluators.workload.workload import Batch
from palettune.space.encoding import Encoding
from tests.evaluators.every_use import every_layer, every_use, sentences

MENU = [Encoding.parse(name) for name in ("fp16", "lut8", "lut6", "lut4", "lut3", "lut2", "int8")]


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 24)
        self.rnn = nn.GRU(24, 24, batch_first=True)
        self.out = nn.Linear(24, 16)
        self.tail = nn.Conv1d(16, 8, 3)

    def forward(self, tokens):
        hidden, _ = self.rnn(self.embed(tokens))
        return self.tail(self.out(hidden).transpose(1, 2))


def convolutional():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU6(inplace=True), nn.Conv2d(16, 16, 3, groups=16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(144, 32), nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip


def case(kind):
    torch.manual_seed(3)
    if kind is DivergenceKind.KL:
        model, data = convolutional(), [Batch((torch.randn(16, 3, 12, 12),), None) for _ in range(3)]
    else:
        model, data = Recurrent(), [Batch((torch.randint(50, (16, 12)),), None) for _ in range(3)]
    return model.eval(), data


@pytest.mark.parametrize("kind", list(DivergenceKind))
@pytest.mark.slow
def test_scores_rank_and_size_the_divergence_of_single_layers(tmp_path, kind):
    model, data = case(kind)
    layers = layers_of(model)
    weights = LayerWeights(model, layers, WeightBank(tmp_path))
    columns = [(layer.name, encoding) for layer in layers for encoding in MENU]
    with torch.inference_mode():
        reference = Reference.of(kind, [model(*batch.inputs) for batch in data])
    samples = single_samples(data, 48)
    method = FisherScore(ScoringSetting(model, weights, kind, reference.energy))
    method.draws = 8
    scores = method.score(columns, samples)
    assembler = Assembler(model, weights)
    measured = []
    for layer, encoding in columns:
        with torch.inference_mode():
            module = assembler.replace({layer: weights.get(layer, encoding).weight})
            measured.append(np.mean([reference.by_sample(i, module(*b.inputs)).mean() for i, b in enumerate(data)]))
    predicted = np.array([scores.score(*column) for column in columns])
    assert spearmanr(predicted, measured).statistic > 0.95
    small = (np.array(measured) < 0.1) & (np.array(measured) > 1e-9)  # where a second-order expansion should hold
    ratios = predicted[small] / np.array(measured)[small]
    assert 0.6 < np.median(ratios) < 1.6
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters() if p.grad is not None)


def test_memory_and_split_change_nothing(tmp_path):
    model, data = case(DivergenceKind.KL)
    layers = layers_of(model)
    weights = LayerWeights(model, layers, WeightBank(tmp_path))
    columns = [(layer.name, encoding) for layer in layers for encoding in MENU[:4]]
    samples = single_samples(data, 10)
    whole = FisherScore(ScoringSetting(model, weights, DivergenceKind.KL)).score(columns, samples)
    tight = FisherScore(ScoringSetting(model, weights, DivergenceKind.KL, memory_bytes=1)).score(columns, samples)
    assert np.allclose(whole.by_sample, tight.by_sample)


def test_weights_that_are_no_modules_are_scored_as_they_are_measured(tmp_path):
    model, layers, samples = every_use(), every_layer(), sentences(16)
    setting = ScoringSetting(model, LayerWeights(model, layers, WeightBank(tmp_path)), DivergenceKind.KL)
    columns = [(layer.name, encoding) for layer in layers for encoding in map(Encoding.parse, ("lut4", "lut2", "int8"))]
    methods = FisherScore(setting), IsolatedScore(setting), WeightErrorScore(setting)
    fisher, isolated, error = (
        [scores.score(*column) for column in columns] for scores in (m.score(columns, samples) for m in methods)
    )
    assert spearmanr(fisher, isolated).statistic > 0.97
    assert 0.4 < spearmanr(error, isolated).statistic < spearmanr(fisher, isolated).statistic
