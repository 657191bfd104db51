"""Skeletons of torch modules."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from palettune.device_bench.conversion.skeleton import Setting
from palettune.device_bench.conversion.torch_skeleton import TorchSkeleton
from palettune.device_bench.model.recurrent_state import NO_STATE
from palettune.device_bench.package.program_graph import program_nodes
from palettune.space.target import DeploymentTarget


class Mixed(nn.Module):
    """A layer, one that is computed with, one that is unused, and a bare parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.plain, self.scaled, self.idle = (nn.Linear(16, 16) for _ in range(3))
        self.bare = nn.Parameter(torch.randn(16, 12))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(self.plain(x), self.scaled.weight * 2) @ self.bare


def setting_of(module: nn.Module, shape: tuple[int, ...] = (1, 16)) -> Setting:
    return Setting(module.eval(), (torch.randn(shape),), DeploymentTarget.IOS18, NO_STATE, ())


@pytest.mark.slow
def test_all_weights_are_found_and_what_is_computed_with_is_converted_with_its_own_values(monkeypatch):
    torch.manual_seed(0)
    conversions = []
    converted = TorchSkeleton._converted
    monkeypatch.setattr(
        TorchSkeleton, "_converted", lambda self, coded: conversions.append(1) or converted(self, coded)
    )
    found = TorchSkeleton(setting_of(Mixed())).found(None, {})
    assert [layer.name for layer in found.layers] == ["bare", "plain"]
    assert [stand_in.layer for stand_in in found.by_size.values()] == ["bare", "plain"]
    assert "(mul) computes with its weight before use" in found.refusals["scaled"]
    line = Mixed.forward.__code__.co_firstlineno + 1
    assert f"; test_torch_skeleton.py:{line} (`return functional.linear(self.plain(x)" in found.refusals["scaled"]
    assert "not in the converted program" in found.refusals["idle"]
    assert len(conversions) == 2
    again = TorchSkeleton(setting_of(Mixed())).found(found.layers, {})
    assert again.layers == found.layers
    assert [node.kind for node in again.nodes] == [node.kind for node in found.nodes]


@pytest.mark.slow
def test_a_refused_tensor_keeps_its_own_values():
    found = TorchSkeleton(setting_of(Mixed())).found(None, {"bare": "said before"})
    assert [layer.name for layer in found.layers] == ["plain"]
    assert found.reasons["bare"] == "said before"


def test_a_tensor_whose_codes_stop_the_conversion_is_found():
    class Checked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.other = nn.Linear(16, 16), nn.Linear(16, 16)

        def forward(self, x: Tensor) -> Tensor:
            if self.layer.weight[0, 0].item() < 0:
                return self.layer(x)
            raise ValueError("the first weight must be negative")

    module = Checked()
    with torch.no_grad():
        module.layer.weight[0, 0] = -1
    found = TorchSkeleton(setting_of(module)).found(None, {})
    assert found.refusals["layer"].startswith("the model converts only with the actual values of its weight")


@pytest.mark.parametrize("kind", [nn.Linear, nn.Conv1d])
def test_nodes_are_those_of_the_saved_program(kind, tmp_path):
    module = nn.Sequential(kind(16, 8) if kind is nn.Linear else kind(16, 8, 1))
    shape = (1, 16) if kind is nn.Linear else (1, 16, 5)
    found = TorchSkeleton(setting_of(module, shape)).found(None, {})
    assert found.weight_bytes > 0
    assert any(node.kind in ("linear", "conv") for node in found.nodes)
    assert program_nodes is not None
