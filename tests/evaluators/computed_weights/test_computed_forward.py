"""A forward pass that takes parameters instead of computing weights, and computes what no parameter stands for."""

from __future__ import annotations

import copy
import inspect

import cloudpickle
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from palettune.evaluators.computed_weights.computed_folding import fold_computed
from palettune.evaluators.computed_weights.computed_forward import (
    ComputedForward,
    ComputedWeightError,
    HeldAt,
    Interceptions,
)


class Varying(nn.Module):
    """Takes as many rows of a computed table as there are inputs, and at times the table itself."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.rand(8, 4))

    def forward(self, x: Tensor, *, whole: bool = False) -> Tensor:
        rows = (self.table * 2).exp()
        return x @ (rows + 1 if not whole else rows.log())


class Layer(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * 2
        return F.linear(x, weight + 1) if len(x) == 1 else F.linear(x, weight + 3)


def folded(model: nn.Module, x: Tensor) -> nn.Module:
    model = model.eval().requires_grad_(False)
    assert fold_computed(model, lambda: model(x)) is None
    return model


def test_another_way_than_the_examples_is_computed_in_full() -> None:
    x = torch.rand(2, 8)
    model = Varying()
    wanted = model(x, whole=True).detach()
    folded(model, x)
    assert "table_computed" in model.state_dict()
    assert torch.allclose(model(x, whole=True), wanted)


def test_a_layer_whose_weight_was_replaced_cannot_go_another_way() -> None:
    model = folded(Layer(8, 4), torch.rand(1, 8))
    model(torch.rand(1, 8))
    with pytest.raises(
        ComputedWeightError, match=r"Layer.forward computes its weight otherwise.*compute it once in model"
    ):
        model(torch.rand(2, 8))


class Writing(nn.Module):
    """Writes a computed table, of which it takes the logarithm at times, and at times other things."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.rand(8, 4))

    def forward(self, x: Tensor, *, other: bool = False) -> Tensor:
        rows = self.table * 2
        rows += 1
        rows.mul_(3)
        return x @ (rows.log() if not other else rows.exp() + rows)


def test_what_a_tensor_would_have_become_is_computed_each_time_it_is_needed() -> None:
    x = torch.rand(2, 8)
    model = Writing()
    wanted = [model(x).detach(), model(x, other=True).detach()]
    folded(model, x)
    assert "table_computed" in model.state_dict()
    assert torch.allclose(model(x), wanted[0])
    assert torch.allclose(model(x, other=True), wanted[1])


class Merging(nn.Module):
    """Sets the data of a layer's weight, for single inputs to something else."""

    def __init__(self) -> None:
        super().__init__()
        self.raw, self.layer = nn.Parameter(torch.rand(4, 8)), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        self.layer.weight.data = self.raw * 2 if len(x) > 1 else self.raw + 1
        return self.layer(x)


def test_a_weight_whose_data_were_replaced_cannot_become_others() -> None:
    model = folded(Merging(), torch.rand(2, 8))
    held = model.layer.weight
    model(torch.rand(2, 8))
    assert model.layer.weight is held
    with pytest.raises(ComputedWeightError, match=r"Merging.forward computes its weight otherwise.*at data.__set__"):
        model(torch.rand(1, 8))


def test_the_signature_stays_and_copies_run_their_own_module() -> None:
    x = torch.rand(2, 8)
    model = folded(Varying(), x)
    assert list(inspect.signature(model.forward).parameters) == ["x", "whole"]
    for made in (copy.deepcopy(model), cloudpickle.loads(cloudpickle.dumps(model))):
        assert isinstance(made.forward, ComputedForward)
        assert made.forward.module is made
        made.table_computed.zero_()
        assert torch.equal(made(x), torch.zeros(2, 4))
    assert model(x).abs().max() > 0


def test_tensors_are_found_in_place() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    assert HeldAt("0", "weight").get(model) is model[0].weight
    with pytest.raises(AttributeError, match=r"0\.gone"):
        HeldAt("0", "gone").get(model)
    assert copy.deepcopy(made := Interceptions()) is made
