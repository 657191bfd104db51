"""What is folded, where, and what need not be computed any more."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from palettune.evaluators.computed_weights.fold_plan import FoldPlan, fold_plan
from palettune.evaluators.computed_weights.recorder import record_forward
from tests.evaluators.computed_weights import computing_models as models

X = models.VECTORS


def planned(model: nn.Module, x: Tensor = X) -> FoldPlan:
    with torch.no_grad():
        return fold_plan(model, record_forward(model.eval(), lambda: model(x)))


class Around(nn.Module):
    """Any forward pass over two parameters."""

    def __init__(self, forward: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.w, self.v = nn.Parameter(torch.randn(8, 8)), nn.Parameter(torch.randn(8))
        self.register_buffer("table", torch.rand(8, 8))
        self.layer = nn.Linear(8, 8)
        self.run = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def test_the_innermost_module_around_all_that_is_computed() -> None:
    (fold, _) = planned(nn.Sequential(models.LowRank(), models.LowRank())).folds
    assert fold.scope == "0"
    (fold,) = planned(Around(lambda m, x: F.linear(x, m.layer.weight * 2))).folds
    assert fold.scope == ""


def test_a_layers_own_weight_is_replaced_where_nothing_else_reads_it() -> None:
    (fold,) = planned(Around(lambda m, x: F.linear(x, m.layer.weight * 2))).folds
    assert fold.replaced is not None
    (fold,) = planned(Around(lambda m, x: m.layer(x) + F.linear(x, m.layer.weight * 2))).folds
    assert fold.replaced is None
    (fold,) = planned(Around(lambda m, x: F.linear(x, m.w * 2))).folds
    assert fold.replaced is None, "its module is no layer"


def test_what_is_turned_is_folded_turned_unless_it_is_used_both_ways() -> None:
    (fold,) = planned(models.Positive()).folds
    assert torch.equal(fold.value, F.softplus(fold.value.new_tensor(0) + fold.value).log().exp() * 0 + fold.value)
    assert len(fold.chain) == 2
    (fold,) = planned(models.Tied()).folds
    assert fold.value.shape == (10, 8)
    assert len(fold.chain) == 1


def test_calls_that_something_else_needs_are_run() -> None:
    plan = planned(Around(lambda m, x: F.linear(x, (m.w.abs() * 2) + 1) + m.w.abs().sum()))
    (fold,) = plan.folds
    assert [id(call) in plan.skipped for call in fold.chain] == [False, True, True]


@pytest.mark.parametrize(
    ("why", "forward"),
    [
        ("plain", lambda m, x: F.linear(x, m.w)),
        ("only turned", lambda m, x: x @ m.w.t()),
        ("only a part", lambda m, x: x @ m.w[:, :4]),
        ("depends on inputs", lambda m, x: F.linear(x, m.w * x.mean())),
        ("depends on a number from inputs", lambda m, x: F.linear(x, m.w * x.sum().relu())),
        ("a vector", lambda m, x: F.linear(x, m.w, m.v * 2)),
        ("no weight", lambda m, x: x[:, None] * (m.w * 2)),
        ("positions", lambda m, x: x @ (m.table * 2)),
        ("other type", lambda m, x: (x.double() @ (m.w.double() * 2)).float()),
        ("constant", lambda m, x: x @ (torch.eye(8) * 2)),
        ("written through a part", lambda m, x: F.linear(x, [w := m.w.clone(), w[0].mul_(2)][0])),
        ("returned alone", lambda m, x: m.w * 2),
    ],
)
def test_what_is_not_folded(why: str, forward: Callable[[nn.Module, Tensor], Tensor]) -> None:
    assert planned(Around(forward)).folds == []


def test_folds_that_share_a_call_have_one_scope() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = Around(lambda m, x: F.linear(x, m.w.exp() * 2))

        def forward(self, x: Tensor) -> Tensor:
            return self.part(x) + F.linear(x, self.part.w.exp() + 1)

    assert {fold.scope for fold in planned(Shared()).folds} == {""}


class Table(nn.Module):
    """Any forward pass over a parameter of 64 rows."""

    def __init__(self, forward: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.randn(64, 32))
        self.register_buffer("places", torch.arange(64))
        self.run = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def test_a_table_is_folded_before_it_is_copied_for_an_op() -> None:
    model, x = Table(lambda m, x: x.t() + m.rows.exp().t().contiguous()).eval(), torch.randn(64, 32)
    with torch.no_grad():
        record = record_forward(model, lambda: model(x))
    (fold,) = fold_plan(model, record, True).folds
    assert [call.key[0].split(".")[-1] for call in fold.chain] in (["exp"], ["exp", "t"])


@pytest.mark.parametrize(
    ("why", "forward", "folded"),
    [
        ("computed and added", lambda m, x: x + m.rows.exp(), True),
        ("looked up again and again", lambda m, x: x + m.rows[m.places.repeat(2)].view(2, 64, 32).sum(0), True),
        ("repeated", lambda m, x: torch.cat([x, m.rows[m.places.repeat(2)]]), True),
        ("only moved, which a conversion finds", lambda m, x: x + m.rows[m.places.flip(0)], False),
        ("a vector", lambda m, x: x + m.rows.exp().sum(0), False),
        ("small", lambda m, x: x[:, :8] + m.rows[:, :8].exp(), False),
        ("as many rows as samples", lambda m, x: x + m.rows.exp()[: len(x)].exp(), False),
        (
            "computed once, repeated for the samples",
            lambda m, x: x.view(-1, 64, 32) + m.rows.exp()[None].repeat(len(x) // 64, 1, 1),
            True,
        ),
        ("not finite", lambda m, x: x + m.rows.exp().fill_(-torch.inf), False),
        ("the same row again and again", lambda m, x: x + m.rows[:1].exp() * torch.ones(64, 1), False),
        ("the same row, joined", lambda m, x: torch.cat([x, m.rows[:1].exp() * torch.ones(64, 1)]), True),
        ("divides", lambda m, x: x / m.rows.exp(), False),
    ],
)
def test_tables_that_are_taken_as_they_are(
    why: str, forward: Callable[[nn.Module, Tensor], Tensor], folded: bool
) -> None:
    model, x = Table(forward).eval(), torch.randn(32 if why.startswith("as many") else 64, 32)
    with torch.no_grad():
        record = record_forward(model, lambda: model(x))
        twofold = record_forward(model, lambda: model(torch.cat([x, x]))) if "samples" in why else None
    assert not fold_plan(model, record).folds
    assert bool(fold_plan(model, record, True, twofold).folds) is folded
