"""Layers that no gradient reaches: which they are, and what they score when they are run instead."""

import pytest
import torch
from torch import nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.quality.divergence import Reference
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.sensitivity.base import ScoringSetting, join_scores
from palettune.evaluators.sensitivity.fisher import FisherScore
from palettune.evaluators.sensitivity.isolated import IsolatedScore
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.space.encoding import Encoding

MENU = [Encoding.parse(name) for name in ("lut4", "lut2")]


class Two(nn.Module):
    """An encoder, some way over, and a decoder."""

    def __init__(self, width=8):
        super().__init__()
        self.first, self.second = nn.Linear(8, width), nn.Linear(width, 8)


class NoGrad(Two):
    @torch.no_grad()
    def forward(self, x):
        return self.second(self.first(x).relu())


class Inference(Two):
    @torch.inference_mode()
    def forward(self, x):
        return self.second(self.first(x).relu())


class FrozenFeatures(Two):
    """A backbone under inference mode, before a head that is not."""

    def forward(self, x):
        with torch.inference_mode():
            hidden = self.first(x).relu()
        return self.second(hidden)


class FrozenMiddle(Two):
    """What follows inference mode is no module, and torch refuses its gradient."""

    def forward(self, x):
        with torch.inference_mode():
            hidden = self.first(x).relu()
        return nn.functional.linear(hidden, self.second.weight, self.second.bias)


class Codes(nn.Module):
    """An encoder that chooses a code; the codes are a weight of their own."""

    def __init__(self, straight_through):
        super().__init__()
        self.straight_through = straight_through
        self.first, self.codes, self.second = nn.Linear(8, 8), nn.Embedding(16, 8), nn.Linear(8, 8)

    def forward(self, x):
        z = self.first(x)
        code = self.codes((z @ self.codes.weight.detach().T).argmax(-1))
        return self.second(z + (code - z).detach() if self.straight_through else code)


class Rounded(Two):
    """Rounding has a gradient, and it is zero everywhere."""

    def forward(self, x):
        return self.second((self.first(x) * 8).round() / 8)


class Gumbel(Two):
    def forward(self, x):
        noise = torch.linspace(-1, 1, 8)
        soft = (self.first(x) + noise).softmax(-1)
        hard = nn.functional.one_hot(soft.argmax(-1), 8).float()
        return self.second(hard - soft.detach() + soft)


class DetachedSkip(Two):
    """The detached way beside another one that has a gradient."""

    def forward(self, x):
        hidden = self.first(x)
        return self.second(hidden).relu() + hidden.detach()


class Looked(Two):
    """An index computed by a layer looks up a table."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(64, 8)

    def forward(self, x):
        index = (self.first(x).sigmoid() * 63).long()
        return self.second(self.table(index).mean(1))


class Branches(Two):
    """Two experts of which each sees half of the samples; ``spare`` sees none."""

    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(8, 8)

    def forward(self, x):
        return self.first(x) if float(x.sum()) > 0 else self.second(x)


class Unsupported(Two):
    """A value that the backward pass needs is changed in place."""

    def forward(self, x):
        hidden = self.first(x).sigmoid()
        out = self.second(hidden.clone())
        hidden.mul_(2)
        return out + hidden


CASES = [
    (NoGrad, ("first", "second")),
    (Inference, ("first", "second")),
    (FrozenFeatures, ("first",)),
    (FrozenMiddle, ("first", "second")),
    (lambda: Codes(straight_through=False), ("first",)),
    (lambda: Codes(straight_through=True), ("codes",)),
    (Rounded, ("first",)),
    (Gumbel, ()),
    (DetachedSkip, ()),
    (Looked, ("first",)),
    (Branches, ("spare",)),
    (Unsupported, ("first",)),
]


def setting_of(model, folder, samples, kind=DivergenceKind.SQUARED_ERROR):
    weights = LayerWeights(model, layers_of(model), WeightBank(folder))
    with torch.inference_mode():
        energy = Reference.of(kind, [model(*sample) for sample in samples]).energy
    columns = [(layer.name, encoding) for layer in layers_of(model) for encoding in MENU]
    return ScoringSetting(model, weights, kind, energy), columns


def samples_of(count=12):
    return [(sample[None],) for sample in torch.randn(count, 8)]


@pytest.mark.parametrize(("make", "expected"), CASES, ids=lambda p: p.__name__ if isinstance(p, type) else None)
@pytest.mark.parametrize("kind", list(DivergenceKind))
def test_layers_without_a_gradient_are_named_and_scored_as_measured(make, expected, kind, tmp_path):
    model, samples = make().eval(), samples_of()
    setting, columns = setting_of(model, tmp_path, samples, kind)
    fisher, isolated = FisherScore(setting).score(columns, samples), IsolatedScore(setting).score(columns, samples)
    assert fisher.unreached == expected
    lacking = [column for column in columns if column[0] in expected]
    merged = fisher.replaced(IsolatedScore(setting).score(lacking, samples)) if lacking else fisher
    assert merged.unreached == ()
    for layer, encoding in columns:
        other = isolated if layer in expected else fisher
        assert merged.score(layer, encoding) == pytest.approx(other.score(layer, encoding), rel=1e-6)
        assert merged.method_of(layer) == other.method
        assert merged.score(layer, encoding) > 0 or layer in ("spare", "codes")
    assert (merged.signed is None) == bool(expected)
    assert not any(parameter.grad is not None for parameter in model.parameters())


def test_what_torch_refuses_is_said(tmp_path):
    for make, words in ((FrozenMiddle, "Inference tensors"), (Unsupported, "modified by an inplace operation")):
        samples = samples_of(2)
        setting, columns = setting_of(make().eval(), tmp_path, samples)
        assert words in str(FisherScore(setting).score(columns, samples).refusal)


def test_a_layer_is_unreached_only_where_it_is_in_every_part(tmp_path):
    model, samples = Branches().eval(), samples_of(8)
    ordered = sorted(samples, key=lambda sample: float(sample[0].sum()))
    setting, columns = setting_of(model, tmp_path, ordered)
    parts = []
    for part in FisherScore.parts(len(columns), 8, 4):
        chosen = ordered[part.samples.start : part.samples.stop]
        parts.append((part, FisherScore(setting).score(columns, chosen, part.samples.start)))
    assert {"second", "spare"} <= set(parts[-1][1].unreached)
    assert {"first", "spare"} <= set(parts[0][1].unreached)
    assert join_scores(parts).unreached == ("spare",)
