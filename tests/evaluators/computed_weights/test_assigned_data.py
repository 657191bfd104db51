"""Weights whose data a forward pass sets are recognised where what they become is computed for them alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from palettune.evaluators.computed_weights.assigned_data import assigned_parameters
from palettune.evaluators.computed_weights.recorder import record_forward


class Assigning(nn.Module):
    """Any forward pass over a layer and what its weight may become."""

    def __init__(self, forward: Callable[[Assigning, Tensor], Tensor]) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.randn(4, 4))
        self.layer = nn.Linear(4, 4)
        self.run = forward

    def assign(self, value: Tensor) -> Tensor:
        self.layer.weight.data = value
        return value

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


@pytest.mark.parametrize(
    ("why", "forward", "found"),
    [
        ("computed", lambda m, x: (m.assign(m.raw * 2), m.layer(x))[1], True),
        ("of inputs", lambda m, x: (m.assign(m.raw * x.sum()), m.layer(x))[1], False),
        ("used otherwise", lambda m, x: m.assign(m.raw * 2) * x + m.layer(x), False),
        ("computed with", lambda m, x: (m.assign(m.raw * 2).exp(), m.layer(x))[1], False),
        ("twice", lambda m, x: (m.assign(m.raw * 2), m.assign(m.raw * 3), m.layer(x))[2], False),
        ("of itself", lambda m, x: (m.assign(m.layer.weight * 2), m.layer(x))[1], False),
        ("a parameter", lambda m, x: (m.assign(m.raw), m.layer(x))[1], False),
        ("kept, too", lambda m, x: (setattr(m, "kept", m.assign(m.raw * 2)), m.layer(x))[1], True),
        ("not used", lambda m, x: (m.assign(m.raw * 2), x + 1)[1], False),
    ],
)
def test_data_that_are_computed_for_a_weight_alone(
    why: str, forward: Callable[[Assigning, Tensor], Tensor], found: bool
) -> None:
    model, x = Assigning(forward).eval(), torch.ones(1, 4)
    with torch.no_grad():
        record = record_forward(model, lambda: model(x))
    pairs = assigned_parameters(record, set())
    assert bool(pairs) is found
    if found:
        ((value, parameter),) = pairs.items()
        assert record.sources[parameter].tensor is model.layer.weight
        assert torch.equal(record.values[value], model.raw * 2)
        assert not assigned_parameters(record, {value}), "something else each time"
