"""What a module can be asked for that makes choices, and one that makes none."""

import pytest
import torch
from torch import nn

from palettune.device_bench.runtime.comparison import THRESHOLD_DB, Comparison, OutputComparison
from palettune.device_bench.runtime.own_noise import allowing_own_noise, own_noise_db


class Codes(nn.Module):
    """Picks the nearest of many codes, often from two that are nearly as near."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encode = nn.Linear(8, 4)
        self.codes = nn.Embedding(4096, 4)

    def forward(self, x):
        z = self.encode(x)
        return self.codes(torch.cdist(z, self.codes.weight).argmin(-1))


class Smooth(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 4))

    def forward(self, x):
        return {"y": self.layers(x), "loudest": self.layers(x).abs().amax(-1)}


SAMPLES = [(torch.randn(16, 8, generator=torch.Generator().manual_seed(seed)),) for seed in range(4)]


def short_by(snr_db):
    return Comparison((OutputComparison("y", snr_db, 0.0, None),), 4, THRESHOLD_DB)


def test_choices_are_noise_and_smooth_functions_are_not():
    assert own_noise_db(Codes(), SAMPLES) < THRESHOLD_DB
    assert own_noise_db(Smooth(), SAMPLES) > THRESHOLD_DB


@pytest.mark.parametrize("module", [Codes(), Smooth()], ids=["codes", "smooth"])
def test_the_module_is_left_as_it_is(module):
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert own_noise_db(module, SAMPLES) == own_noise_db(module, SAMPLES)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_only_what_the_module_itself_falls_short_of_is_allowed():
    own = own_noise_db(Codes(), SAMPLES)
    assert allowing_own_noise(short_by(own - 3), Codes(), SAMPLES).passed
    assert not allowing_own_noise(short_by(own - 12), Codes(), SAMPLES).passed
    assert not allowing_own_noise(short_by(20.0), Smooth(), SAMPLES).passed
    assert not allowing_own_noise(short_by(0.0), Codes(), SAMPLES).passed
    assert allowing_own_noise(short_by(60.0), Smooth(), SAMPLES).threshold_db == THRESHOLD_DB
