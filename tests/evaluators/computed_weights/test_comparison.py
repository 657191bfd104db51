"""Outputs before and after a change, within rounding and on the same random numbers."""

import torch

from palettune.evaluators.computed_weights.comparison import alike, same_numbers, seeded_outputs


def test_rounding_is_no_difference_and_anything_else_is() -> None:
    one = [torch.tensor([1.0, 1e-9, torch.nan])]
    assert alike(one, [torch.tensor([1.00001, 0.0, torch.nan])])
    assert not alike(one, [torch.tensor([1.1, 0.0, torch.nan])])
    assert not alike(one, [torch.tensor([[1.0, 1e-9, torch.nan]])])
    assert not alike(one, [])
    assert not alike([torch.tensor([1])], [torch.tensor([2])])


def test_random_numbers_are_the_same_and_the_generator_goes_on_as_before() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert torch.equal(*(seeded_outputs(lambda: torch.rand(3))[0] for _ in range(2)))
    with same_numbers(1):
        assert not torch.is_grad_enabled()
        first = torch.rand(3)
    with same_numbers(2):
        assert not torch.equal(torch.rand(3), first)
    assert torch.equal(torch.get_rng_state(), before)
