"""Priors of the latency fit."""

import math

import pytest

from palettune.device_bench.cost.fit import fit
from palettune.device_bench.cost.priors import GPU_DEFAULT_TFLOPS, Prior, priors
from palettune.device_bench.devices.chip_specification import ChipFamily
from palettune.device_bench.devices.unit import Unit


def test_a_deviation_multiplies_by_the_spread():
    assert Prior(2.0, 0.5).at(0) == 2.0
    assert Prior(2.0, 0.5).at(-1) == pytest.approx(2.0 * math.exp(-0.5))
    assert Prior(2.0, 0.0).at(3) == 2.0


@pytest.mark.parametrize("unit", Unit)
def test_every_unit_has_priors_of_each_family_and_a_fit_begins_there(unit):
    common, families = priors(unit)
    assert all(set(found) == set(ChipFamily) for found in families.values())
    assert not set(common) & set(families)
    assert set(fit(unit, []).common) == set(common)
    assert set(GPU_DEFAULT_TFLOPS) == set(ChipFamily)
