"""Moment matching: what compression did to each channel's mean and deviation is undone."""

import copy

import pytest
import torch
from torch import nn

from palettune.evaluators.calibration.channel_moments import channel_moments, record_moments
from palettune.evaluators.calibration.moment_matching import MomentMatching, correction
from palettune.evaluators.calibration.samples import calibration_samples
from palettune.evaluators.library_internals import CONVOLUTION
from palettune.testing.workloads import write_workload


def float_and_samples(tmp_path, network):
    workload = write_workload(tmp_path, network)
    return workload.model, calibration_samples(workload).fit


def test_a_scaled_and_shifted_layer_before_a_normalization_is_made_good(tmp_path):
    model, samples = float_and_samples(tmp_path, "convolutions")
    hurt = copy.deepcopy(model)
    hurt.stem.weight.data *= torch.linspace(0.6, 1.5, 16).reshape(-1, 1, 1, 1)
    matching = MomentMatching(model, samples)
    inputs = torch.cat([sample[0] for sample in samples])
    before = (hurt(inputs) - model(inputs)).abs().max()
    changed = matching.apply(hurt)
    assert (hurt(inputs) - model(inputs)).abs().max() < 1e-3 * before
    assert set(changed) <= set(model.state_dict())
    assert all(torch.equal(hurt.state_dict()[name], values) for name, values in changed.items())


@pytest.mark.parametrize("network", ["convolutions", "transformer", "recurrent", "audio"])
def test_means_come_back_and_so_do_deviations_where_there_is_a_scale(tmp_path, network):
    model, samples = float_and_samples(tmp_path, network)
    hurt = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in hurt.named_parameters():
        if name.endswith("weight") and parameter.ndim > 1:
            parameter.data += 0.4 * parameter.std() * torch.randn(parameter.shape, generator=generator)
    matching = MomentMatching(model, samples)
    names = list(matching.wanted)
    assert names

    def distances(module):
        found = record_moments(module, {n: module.get_submodule(n) for n in names}, matching._inputs, matching.count)
        unit = {n: matching.wanted[n].deviation for n in names}
        means = max(float(((found[n].mean - matching.wanted[n].mean) / unit[n]).square().mean()) for n in names)
        scaled = [n for n in names if not isinstance(module.get_submodule(n), (nn.Linear, CONVOLUTION))]
        ratios = [float((found[n].deviation / unit[n]).log().square().mean()) for n in scaled]
        return means, max(ratios, default=0.0)

    means, ratios = distances(hurt)
    matching.apply(hurt)
    better_means, better_ratios = distances(hurt)
    assert better_means < 0.3 * means
    assert better_ratios <= 0.3 * ratios


def test_strength_zero_changes_nothing(tmp_path):
    model, samples = float_and_samples(tmp_path, "transformer")
    hurt = copy.deepcopy(model)
    hurt.up.weight.data *= 1.3
    expected = {name: value.clone() for name, value in hurt.state_dict().items()}
    MomentMatching(model, samples).apply(hurt, strength=0.0)
    assert all(torch.allclose(value, expected[name], atol=1e-6) for name, value in hurt.state_dict().items())


def test_a_dead_channel_is_shifted_but_never_scaled():
    generator = torch.Generator().manual_seed(0)
    wanted = channel_moments(torch.randn(8, 3, 5, generator=generator), 1, 8)
    dead = torch.randn(8, 3, 5, generator=generator)
    dead[:, 1] = 2.0
    made = correction(wanted, channel_moments(dead, 1, 8), scaling=True)
    assert made.scale[1] == 1
    assert torch.isfinite(made.scale).all()
    assert torch.isfinite(made.shift).all()


def test_modules_called_twice_or_without_a_bias_are_left_alone():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared, self.bare, self.last = nn.Linear(4, 4), nn.Linear(4, 4, bias=False), nn.Linear(4, 2)

        def forward(self, x):
            return self.last(self.bare(self.shared(self.shared(x))))

    samples = tuple((torch.randn(1, 4),) for _ in range(8))
    assert set(MomentMatching(Twice().eval(), samples).wanted) == {"last"}


def test_biases_that_no_called_module_shows_are_named():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.called, self.again, self.uncalled = (nn.Linear(8, 8) for _ in range(3))
            self.attention, self.norm = nn.MultiheadAttention(8, 2, batch_first=True), nn.LayerNorm(8)

        def forward(self, x):
            x = self.norm(x + self.attention(x, x, x)[0])
            return nn.functional.linear(
                self.again(self.again(self.called(x))), self.uncalled.weight, self.uncalled.bias
            )

    samples = [(torch.randn(1, 3, 8),) for _ in range(8)]
    (note,) = MomentMatching(Mixed().eval(), samples).notes
    assert note == (
        "moments are not matched by again.bias, uncalled.bias, attention.in_proj_bias and 1 more: "
        "it is not the bias of a module that each pass calls once"
    )
    assert MomentMatching(nn.Linear(8, 8), samples).notes == ()
