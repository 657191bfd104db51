"""The optimizer: rates relative to the size of each tensor, a schedule, and its state."""

import pytest
import torch

from palettune.evaluators.fine_tuning.optimizer import Optimizer
from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.fine_tuning.trainee import Role


def parameters():
    torch.manual_seed(0)
    return {
        "norm": (torch.full((4,), 2.0, requires_grad=True), Role.VECTOR),
        "zeros": (torch.zeros(4, requires_grad=True), Role.VECTOR),
        "table": (torch.full((4,), 0.1, requires_grad=True), Role.TABLE),
        "latent": (torch.full((4,), 0.5, requires_grad=True), Role.WEIGHT),
    }


def stepped(optimizer, held, steps):
    for step in steps:
        optimizer.clear()
        sum(((value - 1) ** 2).sum() for value, _ in held.values()).backward()
        optimizer.step(step)


def test_a_step_moves_each_tensor_by_its_roles_rate_times_its_size():
    held, setting = parameters(), FineTuningSetting()
    before = {name: value.detach().clone() for name, (value, _) in held.items()}
    stepped(Optimizer(held, setting, 1), held, [0])
    moved = {name: float((value.detach() - before[name]).abs().max()) for name, (value, _) in held.items()}
    assert moved["norm"] == pytest.approx(2.0 * setting.vector_rate, rel=1e-3)
    assert moved["table"] == pytest.approx(0.1 * setting.table_rate, rel=1e-3)
    assert moved["latent"] == pytest.approx(0.5 * setting.rate, rel=1e-3)
    assert moved["zeros"] == pytest.approx(0.1 * 2.0 * setting.vector_rate, rel=1e-3)  # a tenth of the usual size


def test_rates_are_warmed_up_and_then_lowered_along_a_cosine():
    optimizer = Optimizer(parameters(), FineTuningSetting(), 100)
    factors = [optimizer._factor(step) for step in range(100)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[5:] == sorted(factors[5:], reverse=True)
    assert factors[-1] < 0.001


def test_a_restored_optimizer_goes_on_as_if_it_had_not_stopped():
    whole, halves = parameters(), parameters()
    stepped(Optimizer(whole, FineTuningSetting(), 6), whole, range(6))
    first = Optimizer(halves, FineTuningSetting(), 6)
    stepped(first, halves, range(3))
    second = Optimizer(halves, FineTuningSetting(), 6)
    second.rates = first.rates  # those of the start, as a resumed training takes them from its start
    second.restore(first.tensors())
    stepped(second, halves, range(3, 6))
    for name, (value, _) in whole.items():
        assert torch.equal(value, halves[name][0]), name


def test_the_first_gradient_that_is_not_finite_is_named():
    held = parameters()
    optimizer = Optimizer(held, FineTuningSetting(), 1)
    assert optimizer.non_finite() is None
    held["table"][0].grad = torch.tensor([0.0, float("inf"), 0.0, 0.0])
    assert optimizer.non_finite() == "table"
