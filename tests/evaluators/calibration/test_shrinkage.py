"""Shrinkage of noisy estimates: never outwards, to nothing when all is noise, and better on the whole."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from palettune.evaluators.calibration.shrinkage import shrunk

NUMBERS = st.floats(-1e3, 1e3, width=32)


@given(st.lists(st.tuples(NUMBERS, st.floats(0, 1e3, width=32)), min_size=1, max_size=20))
def test_it_pulls_towards_zero_and_keeps_signs(pairs):
    estimates, errors = torch.tensor(pairs, dtype=torch.float64).unbind(1)
    found = shrunk(estimates, errors)
    assert (found.abs() <= estimates.abs() + 1e-9).all()
    assert (found * estimates >= 0).all()


def test_what_is_known_exactly_stays_and_what_cannot_be_known_goes():
    estimates = torch.tensor([1.0, -2.0, 0.5])
    assert torch.allclose(shrunk(estimates, torch.zeros(3)), estimates)
    assert torch.equal(
        shrunk(torch.tensor([1.0, torch.nan, 2.0]), torch.tensor([0.0, 0.0, torch.inf]))[1:], torch.zeros(2)
    )
    assert torch.equal(shrunk(torch.full((3,), torch.nan), torch.ones(3)), torch.zeros(3))


def test_the_mean_squared_error_is_below_that_of_the_estimates():
    generator = torch.Generator().manual_seed(0)
    for spread in (0.0, 0.3, 1.0, 3.0):
        raw = better = 0.0
        for _ in range(50):
            errors = torch.rand(64, generator=generator) * 2 + 0.1
            truth = spread * torch.randn(64, generator=generator)
            estimates = truth + errors * torch.randn(64, generator=generator)
            raw += float((estimates - truth).square().mean())
            better += float((shrunk(estimates, errors) - truth).square().mean())
        assert better < (0.2 if spread == 0 else 1.0) * raw
