from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from palettune.device_bench.conversion.base_program import base_program
from palettune.device_bench.package.other_constants import NO_VECTOR
from palettune.space.layer import Layer, LayerKind

torch.set_num_threads(1)


def _names(module: nn.Module, inputs: tuple[Tensor, ...], *layers: str) -> dict[str, int]:
    known = [Layer(name, LayerKind.LINEAR, tuple(module.get_submodule(name).weight.shape)) for name in layers]
    base = base_program(module.eval(), inputs, "iOS18", known)
    sizes = [constant.bytes for constant in base.others]
    assert sizes == sorted(sizes, reverse=True)
    found: dict[str, int] = {}
    for constant in (one for one in base.others if one.float_bytes):
        found[constant.name] = found.get(constant.name, 0) + constant.bytes
    return found


class Mixed(nn.Module):
    """Two equal packed projections, a bare parameter used turned over, a buffer, and a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.MultiheadAttention(16, 2, batch_first=True)
        self.second = nn.MultiheadAttention(16, 2, batch_first=True)
        self.second.load_state_dict(self.first.state_dict())
        self.mix = nn.Parameter(torch.randn(16, 8))
        self.register_buffer("basis", torch.randn(1, 4, 8))
        self.head = nn.Linear(8, 12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x, x, x)[0]
        x = self.second(x, x, x)[0]
        return self.head(x @ self.mix + self.basis)


@pytest.mark.slow
def test_constants_bear_the_names_of_the_models_tensors():
    torch.manual_seed(0)
    found = _names(Mixed(), (torch.randn(1, 4, 16),), "head", "first.out_proj", "second.out_proj")
    assert {"first.in_proj_weight", "second.in_proj_weight", "mix", "basis"} <= set(found)
    assert found["first.in_proj_weight"] == 64 + 3 * 16 * 16 * 2
    assert not any("head" in name or "out_proj" in name for name in found)


@pytest.mark.slow
def test_a_recurrent_layer_is_known_though_its_gates_are_in_another_order():
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(8, 16, batch_first=True)
            self.lstm = nn.LSTM(16, 12, batch_first=True, bidirectional=True)
            self.head = nn.Linear(24, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.lstm(self.gru(x)[0])[0][:, -1])

    torch.manual_seed(0)
    found = set(_names(Tagger(), (torch.randn(1, 6, 8),), "head"))
    sides = {f"lstm.weight_{way}_l0{side}" for way in ("ih", "hh") for side in ("", "_reverse")}
    assert sides | {"gru.weight_ih_l0", "gru.weight_hh_l0"} <= found


@pytest.mark.slow
def test_what_is_computed_from_a_weight_bears_the_name_of_the_op():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(16, 16), nn.Linear(16, 20)

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.linear(self.body(x), self.head.weight / self.head.weight.norm(), self.head.bias)

    torch.manual_seed(0)
    (name,) = _names(Scaled(), (torch.randn(1, 16),), "body", "head")
    assert name.startswith("weight of op ")
    assert name.endswith(" (linear)")


class Tabled(nn.Module):
    """A layer with a long bias, and a table of integers that data choose from."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Linear(8, 2048)
        self.register_buffer("steps", torch.randperm(1500))

    def forward(self, x: Tensor, chosen: Tensor) -> Tensor:
        return self.wide(x).sum(-1) * self.steps[chosen]


@pytest.mark.slow
def test_long_vectors_and_tables_of_integers_are_listed_and_count_for_nothing():
    torch.manual_seed(0)
    base = base_program(Tabled().eval(), (torch.randn(3, 8), torch.tensor([1, 1499, 2], dtype=torch.int32)), "iOS18")
    found = {constant.name: constant for constant in base.others}
    assert found["wide.bias"].reason == NO_VECTOR
    assert found["wide.bias"].bytes == 64 + 2 * 2048
    assert found["steps"].reason.startswith("integers: operand 'x' of op ")
    assert found["steps"].shape == (1500,)
    assert {constant.float_bytes for constant in found.values()} == {0}
