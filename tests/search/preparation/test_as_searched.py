"""An experiment is prepared with the layers that its search has chosen for."""

import pytest
import torch
from torch import Tensor, nn

from palettune.search.api.apply import apply
from palettune.search.experiment.experiment import Experiment
from palettune.search.preparation.as_searched import prepare_as_searched
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.layer import LayerKind
from tests.search.preparation.placed import placed


class Mixing(nn.Module):
    """A weight that a module holds, and one that is used without any."""

    def __init__(self) -> None:
        super().__init__()
        self.mixer = nn.Parameter(torch.randn(64, 64))
        self.dense = nn.Linear(64, 32)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(nn.functional.linear(x, self.mixer))


class Workload:
    def model(self) -> nn.Module:
        torch.manual_seed(0)
        return Mixing()

    def example_inputs(self) -> tuple[Tensor, ...]:
        return (torch.ones(1, 64),)

    def evaluation_data(self):
        torch.manual_seed(1)
        return [((torch.randn(4, 64),), None)]


def mixing() -> Experiment:
    return Experiment(name="mixing", workload=Workload(), space={"encodings": ("fp16", "lut4")})


@pytest.mark.slow
def test_a_search_of_the_weights_of_modules_alone_goes_on_with_these():
    new, former = prepare_as_searched(mixing(), None), prepare_as_searched(mixing(), {"dense": False})
    assert [layer.name for layer in new.layers] == ["mixer", "dense"]
    assert [layer.name for layer in former.layers] == ["dense"]
    assert former.identity()["menus"] == {"dense": ["fp16", "lut4"]}
    assert former.reach.largest_bytes == new.reach.largest_bytes
    assert any("begun when mixer was no layer: it stays in fp16" in note for note in former.notes)
    assert prepare_as_searched(mixing(), dict.fromkeys(("of", "another", "model"), False)).layers == new.layers


@pytest.mark.slow
def test_a_configuration_of_the_weights_of_modules_alone_is_applied(tmp_path):
    only = Configuration({"dense": Encoding.parse("lut4")})
    done = apply(only, mixing(), out=tmp_path / "out", root=tmp_path / "runs")
    assert done.proven
    assert {name: str(one) for name, one in done.record.configuration.encodings.items()} == {
        "mixer": "fp16",
        "dense": "lut4",
    }


@pytest.mark.slow
def test_operands_are_layers_unless_the_search_has_none():
    new = prepare_as_searched(placed(), None)
    assert {layer.name: layer.kind for layer in new.layers} == {
        "positions": LayerKind.OPERAND,
        "dense": LayerKind.LINEAR,
    }
    assert new.coverage == 1
    searched = prepare_as_searched(placed(), {"dense": False, "positions": False})
    assert searched.layers == new.layers
    former = prepare_as_searched(placed(), {"dense": False})
    assert [layer.name for layer in former.layers] == ["dense"]
    assert any("begun when positions was no layer: it stays in fp16" in note for note in former.notes)
    assert former.reach.largest_bytes == new.reach.largest_bytes
    asked = prepare_as_searched(placed(operands=False), None)
    assert asked.identity() == former.identity()
    assert not any("begun when" in note for note in asked.notes)
    assert asked.identity()["experiment"] == new.identity()["experiment"]
    assert asked.base.reasons["positions"].startswith("operand 'y' of add, which is not a weight operand (op 'add")


class Normed(nn.Module):
    """A convolution whose outputs a normalization alone receives, noise, and a count of the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 4)
        self.register_buffer("seen", torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x)).mean((2, 3)) + 0.1 * torch.randn(8) + self.seen
        self.seen += x.detach().mean(0)
        return self.head(x)


class NormedWorkload:
    def model(self) -> nn.Module:
        torch.manual_seed(0)
        return Normed()

    def example_inputs(self) -> tuple[Tensor, ...]:
        return (torch.ones(1, 3, 6, 6),)

    def evaluation_data(self):
        torch.manual_seed(1)
        return [((torch.randn(1, 3, 6, 6),), None) for _ in range(4)]


def normed(**space: bool) -> Experiment:
    values = {"encodings": ("fp16", "lut4"), **space}
    return Experiment(name="normed", workload=NormedWorkload(), space=values, data={"sequence": 1})


def test_a_search_from_before_scales_were_free_goes_on_without_them():
    new = prepare_as_searched(normed(), None)
    assert new.scaled == new.identity()["free_scales"] == ["conv"]
    off = prepare_as_searched(normed(free_scales=False), None)
    assert off.scaled == []
    former = prepare_as_searched(normed(), {"conv": False, "head": False})
    assert former.scaled == []
    assert former.identity() == off.identity() == {k: v for k, v in new.identity().items() if k != "free_scales"}
    again = prepare_as_searched(normed(), {"conv": True, "head": False})
    assert again.identity() == new.identity()
