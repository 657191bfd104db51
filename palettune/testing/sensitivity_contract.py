"""Contract suite for sensitivity scores: what every ``SensitivityScore`` has to do, on two small networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.quality.divergence import Reference
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.sensitivity.base import ScoringPart, ScoringSetting, SensitivityScore, join_scores
from palettune.evaluators.sensitivity.scores import Column, Scores
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.evaluators.workload.samples import single_samples
from palettune.evaluators.workload.workload import Batch
from palettune.space.encoding import Encoding

__all__ = ["ScoringCase", "SensitivityContract"]

MENU = [Encoding.parse(name) for name in ("fp16", "lut8", "lut4", "lut2")]


@dataclass(frozen=True)
class ScoringCase:
    """A score made for a small network, with all of its (layer, encoding) pairs and twelve samples."""

    score: SensitivityScore
    columns: Sequence[Column]
    samples: Sequence[tuple[Tensor, ...]]
    model: nn.Module

    def scores(self, part: ScoringPart | None = None) -> Scores:
        """Score everything, or one part."""
        if part is None:
            return self.score.score(self.columns, self.samples)
        columns = self.columns[part.columns.start : part.columns.stop]
        samples = self.samples[part.samples.start : part.samples.stop]
        return self.score.score(columns, samples, part.samples.start)


class SensitivityContract:
    """Tests of one sensitivity score, or of several by a parametrised fixture.

    Override the fixture ``score_class``, which returns the class. Each test runs with the divergence of a classifier
    (KL) and with that of a network of two inputs and two outputs (squared error), one of whose layers no input
    reaches.
    """

    @pytest.fixture
    def score_class(self) -> type[SensitivityScore]:
        """Return the class under test."""
        raise NotImplementedError("override the fixture `score_class`: return the SensitivityScore subclass to test")

    @pytest.fixture(params=list(DivergenceKind), ids=str)
    def case(self, score_class: type[SensitivityScore], request: pytest.FixtureRequest, tmp_path: Path) -> ScoringCase:
        """Return the score on the network of one divergence."""
        kind: DivergenceKind = request.param
        model, data = _network(kind)
        weights = LayerWeights(model.eval(), layers_of(model), WeightBank(tmp_path))
        with torch.inference_mode():
            energy = Reference.of(kind, [model(*batch.inputs) for batch in data]).energy
        score = score_class(ScoringSetting(model, weights, kind, energy))
        columns = [(layer.name, encoding) for layer in layers_of(model) for encoding in MENU]
        return ScoringCase(score, columns, single_samples(data, 12), model)

    def test_scores_are_finite_not_negative_and_fall_with_bits(self, case: ScoringCase) -> None:
        """Check that more bits score less in every layer that an input reaches."""
        scores = case.scores()
        assert scores.method == case.score.name
        assert np.isfinite(scores.by_sample).all()
        assert (scores.by_sample >= 0).all()
        for layer in {layer for layer, _ in case.columns} - {"unused"}:
            fp16, lut8, lut4, lut2 = (scores.score(layer, encoding) for encoding in MENU)
            assert fp16 <= lut8 <= lut4 * 1.5
            assert lut4 < lut2

    def test_a_scoring_does_not_depend_on_how_it_is_split(self, case: ScoringCase) -> None:
        """Check that the parts of ``parts``, scored in any order and joined, give the scores of the whole."""
        before = {name: value.clone() for name, value in case.model.state_dict().items()}
        whole = case.scores()
        for count in (2, 5):
            parts = case.score.parts(len(case.columns), len(case.samples), count)
            joined = join_scores([(part, case.scores(part)) for part in reversed(parts)])
            assert joined.columns == whole.columns
            assert np.allclose(joined.by_sample, whole.by_sample, rtol=1e-4, atol=1e-9)
        assert all(torch.equal(before[name], value) for name, value in case.model.state_dict().items())

    def test_scores_are_read_back_exactly(self, case: ScoringCase, tmp_path: Path) -> None:
        """Compare saved scores with the loaded ones."""
        scores = case.scores()
        scores.save(tmp_path / "scores.safetensors")
        again = Scores.load(tmp_path / "scores.safetensors")
        assert again.columns == scores.columns
        assert np.array_equal(again.by_sample, scores.by_sample)

    def test_a_layer_that_no_input_reaches_scores_zero(self, case: ScoringCase) -> None:
        """Check that scores from data are 0 for a layer without an effect on any output."""
        if not hasattr(case.model, "unused") or not case.score.needs_data:
            pytest.skip("no such layer, or a score that sees no data")
        scores = case.scores()
        assert all(scores.score("unused", encoding) == 0 for encoding in MENU)


class _TwoInputs(nn.Module):
    """Two inputs of which one is integers, two outputs, a layer that no input reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.conv = nn.Conv1d(16, 12, 3)
        self.unused = nn.Linear(8, 8)

    def forward(self, tokens: Tensor, scale: Tensor) -> dict[str, Tensor]:
        hidden = self.embed(tokens).transpose(1, 2) * scale[:, None, None]
        return {"features": self.conv(hidden), "mean": hidden.mean(dim=(1, 2))}


def _network(kind: DivergenceKind) -> tuple[nn.Module, list[Batch]]:
    torch.manual_seed(0)
    if kind is DivergenceKind.KL:
        model = nn.Sequential(nn.Flatten(), nn.Linear(30, 20), nn.Tanh(), nn.Linear(20, 5))
        return model, [Batch((torch.randn(6, 5, 6),), None)] * 2
    return _TwoInputs(), [Batch((torch.randint(20, (6, 9)), torch.rand(6) + 0.5), None) for _ in range(2)]
