"""Values are the stored ones exactly; gradients are what they should be."""

from __future__ import annotations

import pytest
import torch

from palettune.evaluators.fine_tuning.straight_through import half, looked_up, rounded


@pytest.mark.parametrize("function", [half, rounded])
def test_values_are_exact_and_gradients_pass(function) -> None:
    values = (torch.randn(1000) * 1000).requires_grad_()
    found = function(values)
    wanted = values.detach().half().float() if function is half else values.detach().round()
    assert torch.equal(found, wanted)
    found.backward(torch.arange(1000.0))
    assert torch.equal(values.grad, torch.arange(1000.0))


@pytest.mark.parametrize("length", [1, 2])
def test_entries_get_the_sum_of_the_gradients_of_those_who_hold_them(length: int) -> None:
    tables = torch.randn(3, 5, length, requires_grad=True)
    values = torch.randn(3, 40, length, requires_grad=True)
    indices = torch.randint(0, 5, (3, 40))
    weights = torch.randn(3, 40, length)
    found = looked_up(values, tables, indices)
    (found * weights).sum().backward()
    plain = tables.detach().clone().requires_grad_()
    other = torch.stack([plain[group][indices[group]] for group in range(3)])
    (other * weights).sum().backward()
    assert torch.equal(found, other)
    assert torch.allclose(tables.grad, plain.grad, atol=1e-5)
    assert torch.equal(values.grad, weights)
