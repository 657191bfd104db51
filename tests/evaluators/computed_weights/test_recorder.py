"""A record says what is computed from a model's own tensors alone, where, and what uses it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from palettune.evaluators.computed_weights.recorder import ForwardRecord, record_forward


class Both(nn.Module):
    """Computes a weight in a child, and one from its input."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 2))
        self.register_buffer("seen", torch.zeros(2))
        self.child = Half()

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        weight = self.child(self.weight)
        self.kept = weight + 0
        return F.linear(x, weight) + F.linear(x, weight * x.mean()) + self.seen * 2


class Half(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 0.5


def recorded(model: nn.Module, x: Tensor) -> ForwardRecord:
    with torch.no_grad():
        return record_forward(model, lambda: model(x))


def test_calls_paths_and_uses() -> None:
    found = recorded(Both(), torch.ones(1, 2))
    assert [f"{s.module}.{s.name}" for s in found.sources.values()] == [".weight", ".seen"]
    assert [source.is_parameter for source in found.sources.values()] == [True, False]
    half = next(call for call in found.calls if call.path == ("", "child"))
    (number,) = half.results
    assert half.inputs == (0,)
    assert half.kind is Tensor
    assert half.computes
    assert torch.equal(found.values[number], torch.full((2, 2), 0.5))
    assert [(use.function.split(".")[-1], use.position) for use in found.uses[number]] == [("linear", 1), ("mul", 0)]
    kept = next(call for call in found.calls if call.inputs == (number,))
    assert [use.function for use in found.uses[kept.results[0]]] == ["attribute"]
    assert found.maker()[number] is half
    assert len(found.outputs) == 1


def test_what_is_written_is_impure() -> None:
    found = recorded(Both(), torch.ones(1, 2))
    seen = next(number for number, source in found.sources.items() if source.name == "seen")
    assert seen in found.impure
    assert 0 not in found.impure


class Updating(nn.Module):
    """Writes what it has computed, the same twice."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(2, 2))

    def double(self) -> Tensor:
        made = self.w + 1
        made *= 2
        return made

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.double()) + F.linear(x, self.double())


def test_what_a_tensor_was_and_what_it_becomes_have_numbers_of_their_own() -> None:
    found = recorded(Updating(), torch.ones(1, 2))
    one, two = found.calls
    assert two.inputs == one.results == tuple(found.updated)
    assert two.computes
    assert [float(found.values[call.results[0]].mean()) for call in (one, two)] == [2.0, 4.0]
    assert len(found.uses[two.results[0]]) == 2
    assert not found.impure


def test_equal_calls_are_one_and_random_ones_are_impure() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(2))
            self.one, self.other = Half(), Half()

        def forward(self, x: Tensor) -> Tensor:
            noise = [torch.bernoulli(self.w * 0.5 + 0 * i) for i in range(1)] + [torch.rand(2), torch.rand(2)]
            return x + self.one(self.w) + self.other(self.w) + sum(noise)

    found = recorded(Twice(), torch.ones(2))
    halves = [call for call in found.calls if call.key[0].endswith("mul") and call.key[1][1] == (float, 0.5)]
    assert {call.path for call in halves} == {("",)}, "in two modules: around both"
    assert len(halves) == 1
    random = next(call for call in found.calls if call.key[0].endswith("rand"))
    assert set(random.results) <= found.impure


def test_hooks_are_gone_after_a_run_that_fails() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(RuntimeError):
        recorded(model, torch.ones(1, 3))
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in model.modules())
