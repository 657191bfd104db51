"""How near one tensor is to another."""

import math

import pytest
import torch

from palettune.device_bench.runtime.signal import agreement, contrast_to_noise, powers, ratio_db, signal_to_noise


def test_powers_are_sums_of_squares_and_equal_infinities_differ_by_nothing():
    reference = torch.tensor([3.0, math.inf, math.nan])
    assert powers(torch.tensor([4.0, math.inf, math.nan]), reference) == (9.0, 1.0)
    assert powers(torch.tensor([3.0, 1.0, math.nan]), reference) == (9.0, math.inf)


@pytest.mark.parametrize(
    ("signal", "noise", "db"), [(1, 0.1, 10), (1, 0, math.inf), (0, 1, -math.inf), (1, math.inf, -math.inf)]
)
def test_ratios_in_decibels(signal, noise, db):
    assert ratio_db(signal, noise) == pytest.approx(db)


def test_a_common_offset_counts_as_signal_but_not_as_contrast():
    reference = torch.tensor([100.0, 101.0, 102.0])
    value = reference + torch.tensor([0.1, -0.1, 0.1])
    assert signal_to_noise(value, reference) == pytest.approx(10 * math.log10(30605 / 0.03), abs=0.01)
    assert contrast_to_noise(value, reference) == pytest.approx(10 * math.log10(2 / 0.03), abs=0.01)
    constant = torch.full((3,), 5.0)
    assert contrast_to_noise(constant + 0.1, constant) == pytest.approx(10 * math.log10(75 / 0.03), abs=0.01)


def test_classes_lie_along_the_last_axis_or_the_channels():
    logits = torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    assert agreement(logits.flip(1), logits) == (0, 2)
    image = torch.stack([torch.zeros(2, 2), torch.ones(2, 2)])[None]
    assert agreement(image, image) == (4, 4)
    assert agreement(logits[0], logits[0]) is None
