"""A few of the planted faults, each found by its name; the benchmark looks at hundreds."""

import pytest
import torch

from experiments.benchmarks.planted_faults import faults
from experiments.benchmarks.planted_faults.networks import Fault, planted


@pytest.mark.slow
@pytest.mark.matrix(1)
@pytest.mark.parametrize("fault", list(Fault))
def test_a_planted_fault_is_found_by_its_name_and_a_sound_network_is_not_refused(fault):
    torch.set_num_threads(1)
    assert faults.look(3, fault) is None


@pytest.mark.slow
def test_a_fault_that_is_not_found_is_told(monkeypatch):
    monkeypatch.setattr(faults, "_damage", lambda *_: None)
    assert "was damaged, found: ()" in faults.look(3, Fault.WRONG_SCALE)
    monkeypatch.setattr(faults, "run_in_fp16", lambda _: type("Run", (), {"require": lambda self: None})())
    assert faults.look(3, Fault.OVERFLOW) == "not found before the search"


def test_the_same_seed_gives_the_same_network():
    one, other = planted(5, Fault.OVERFLOW), planted(5, Fault.OVERFLOW)
    assert one.place == other.place
    for (a,), (b,) in zip((i for i, _ in one.data()), (i for i, _ in other.data()), strict=True):
        assert torch.equal(one.module(a), other.module(b))
