"""The divergence of a module on held-out samples."""

import copy

import pytest
import torch
from torch import nn

from palettune.evaluators.calibration.held_out_divergence import HeldOutDivergence, NonFiniteError
from palettune.evaluators.quality.divergence_kind import DivergenceKind


def model_and_samples():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).eval()
    return model, [(sample[None],) for sample in torch.randn(20, 4)]


def test_it_is_zero_for_the_float_model_and_grows_with_the_change():
    model, samples = model_and_samples()
    measured = HeldOutDivergence(model, samples, DivergenceKind.KL)
    assert measured.by_sample(model) == pytest.approx([0.0] * 20, abs=1e-9)
    means = []
    for size in (0.1, 0.5):
        changed = copy.deepcopy(model)
        changed[0].weight.data += size
        means.append(sum(measured.by_sample(changed)))
    assert 0 < means[0] < means[1]


def test_outputs_that_are_not_finite_name_their_layer():
    model, samples = model_and_samples()
    measured = HeldOutDivergence(model, samples, DivergenceKind.KL)
    broken = copy.deepcopy(model)
    broken[2].weight.data.fill_(float("inf"))
    with pytest.raises(NonFiniteError, match="not finite on the calibration data") as error:
        measured.by_sample(broken)
    assert error.value.layer == "2"
