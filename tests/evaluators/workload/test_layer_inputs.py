"""Which tensors layers read, and the groups that follow."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.workload.layer_inputs import layer_inputs
from palettune.space.groups import groupable_layers, shared_groups
from palettune.space.layer import Layer, LayerKind
from tests.evaluators.every_use import every_layer, every_use, sentences


def found_groups(model: nn.Module, example: Tensor) -> tuple[tuple[str, ...], ...]:
    return shared_groups(layer_inputs(model, (example,), groupable_layers(layers_of(model))))


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(width, width), nn.Linear(width, width // 2), nn.Linear(width, width // 2)
        self.out = nn.Linear(width // 2, width)

    def forward(self, x: Tensor) -> Tensor:
        q = self.q(x).mean()
        return self.out(self.k(x) + self.v(x)) * q


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = Attention(16), nn.LayerNorm(16), Attention(16)
        self.gate, self.up = nn.Linear(16, 32), nn.Linear(16, 32)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.norm(self.first(x)))
        return self.gate(x) * self.up(self.drop(x))


def test_layers_that_read_one_tensor_are_found() -> None:
    model = Block().train()
    assert found_groups(model, torch.randn(2, 16)) == (
        ("first.q", "first.k", "first.v"),
        ("second.q", "second.k", "second.v"),
        ("gate", "up"),
    )
    assert model.training
    assert not any(child._forward_pre_hooks for child in model.modules())


def test_equal_content_or_reused_memory_is_not_the_same_input() -> None:
    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(20))

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.layers:
                x = layer(x.clone())
            return x

    model = Chain()
    assert found_groups(model, torch.zeros(1, 8)) == ()


def test_a_tensor_changed_in_place_is_another_input() -> None:
    class Changed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            x = x * 2
            y = self.a(x)
            x += 1
            return y + self.b(x) + self.c(x)

    class Inferred(Changed):
        """Inference tensors count no versions."""

        @torch.inference_mode()
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)

    for model in (Changed(), Inferred()):
        assert found_groups(model, torch.zeros(1, 8)) == (("b", "c"),)


def test_layers_that_never_run_are_in_no_group() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            return x

    model = Idle()
    assert found_groups(model, torch.zeros(1, 8)) == ()


def test_layers_without_a_module_are_found_and_grouped_with_modules() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.v = nn.Linear(8, 8), nn.Linear(8, 8)
            self.k, self.out = nn.Parameter(torch.randn(8, 8)), nn.Parameter(torch.randn(8, 8))

        def forward(self, x: Tensor) -> Tensor:
            return (self.q(x) + x @ self.k) @ self.out + self.v(x)

    model = Mixed()
    layers = (
        *layers_of(model),
        Layer("k", LayerKind.MATMUL, (8, 8), parameter="k"),
        Layer("out", LayerKind.MATMUL, (8, 8), parameter="out"),
    )
    assert shared_groups(layer_inputs(model, (torch.randn(2, 8),), groupable_layers(layers))) == (("q", "v", "k"),)


def test_gates_read_one_input() -> None:
    found = layer_inputs(every_use(), sentences(1)[0], groupable_layers(every_layer()))
    gates = [tuple(f"gru.weight_{to}_l0.{number}" for number in range(3)) for to in ("ih", "hh")]
    assert [group for group in shared_groups(found) if group[0].startswith("gru")] == gates
    assert found["attention.out_proj"] == ()  # a module that is never called
