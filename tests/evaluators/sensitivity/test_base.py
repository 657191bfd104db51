"""The contract that every sensitivity score keeps."""

import numpy as np
import pytest
import torch
from torch import nn

from palettune.evaluators.quality.divergence import Reference
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.sensitivity.base import ScoringSetting, join_scores
from palettune.evaluators.sensitivity.registry import registered_scores
from palettune.evaluators.sensitivity.scores import Scores
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.evaluators.workload.samples import single_samples
from palettune.evaluators.workload.workload import Batch
from palettune.space.encoding import Encoding
from palettune.space.modules import layers_of

MENU = [Encoding.parse(name) for name in ("fp16", "lut8", "lut4", "lut2")]


class TwoInputs(nn.Module):
    """Two inputs of which one is integers, two outputs, a layer that no input reaches."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.conv = nn.Conv1d(16, 12, 3)
        self.unused = nn.Linear(8, 8)

    def forward(self, tokens, scale):
        hidden = self.embed(tokens).transpose(1, 2) * scale[:, None, None]
        return {"features": self.conv(hidden), "mean": hidden.mean(dim=(1, 2))}


def case(kind):
    torch.manual_seed(0)
    if kind is DivergenceKind.KL:
        model = nn.Sequential(nn.Flatten(), nn.Linear(30, 20), nn.Tanh(), nn.Linear(20, 5))
        return model, [Batch((torch.randn(6, 5, 6),), None)] * 2
    return TwoInputs(), [Batch((torch.randint(20, (6, 9)), torch.rand(6) + 0.5), None) for _ in range(2)]


@pytest.fixture(params=[(n, k) for n in registered_scores() for k in DivergenceKind], ids=lambda p: f"{p[0]}-{p[1]}")
def scoring(request, tmp_path):
    name, kind = request.param
    model, data = case(kind)
    weights = LayerWeights(model.eval(), layers_of(model), WeightBank(tmp_path))
    with torch.inference_mode():
        energy = Reference.of(kind, [model(*batch.inputs) for batch in data]).energy
    method = registered_scores()[name](ScoringSetting(model, weights, kind, energy))
    columns = [(layer.name, encoding) for layer in layers_of(model) for encoding in MENU]
    return method, columns, single_samples(data, 12), model


def test_scores_are_finite_not_negative_and_fall_with_bits(scoring):
    method, columns, samples, _ = scoring
    scores = method.score(columns, samples)
    assert scores.method == method.name
    assert np.isfinite(scores.by_sample).all()
    assert (scores.by_sample >= 0).all()
    for layer in {layer for layer, _ in columns} - {"unused"}:
        fp16, lut8, lut4, lut2 = (scores.score(layer, encoding) for encoding in MENU)
        assert fp16 <= lut8 <= lut4 * 1.5
        assert lut4 < lut2


def test_a_scoring_does_not_depend_on_its_split_and_leaves_the_model_alone(scoring):
    method, columns, samples, model = scoring
    before = {name: value.clone() for name, value in model.state_dict().items()}
    whole = method.score(columns, samples)
    for count in (2, 5):
        parts = method.parts(len(columns), len(samples), count)
        answers = [
            (
                part,
                method.score(
                    columns[part.columns.start : part.columns.stop],
                    samples[part.samples.start : part.samples.stop],
                    part.samples.start,
                ),
            )
            for part in reversed(parts)
        ]
        joined = join_scores(answers)
        assert joined.columns == whole.columns
        assert np.allclose(joined.by_sample, whole.by_sample, rtol=1e-4, atol=1e-9)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_scores_survive_the_disk(scoring, tmp_path):
    method, columns, samples, _ = scoring
    scores = method.score(columns, samples)
    scores.save(tmp_path / "scores.safetensors")
    again = Scores.load(tmp_path / "scores.safetensors")
    assert again.columns == scores.columns
    assert np.array_equal(again.by_sample, scores.by_sample)


def test_a_layer_that_no_sample_reaches_costs_nothing(scoring):
    method, columns, samples, model = scoring
    if not hasattr(model, "unused") or not method.needs_data:
        pytest.skip("no such layer, or a method that sees no data")
    scores = method.score(columns, samples)
    assert all(scores.score("unused", encoding) == 0 for encoding in MENU)
