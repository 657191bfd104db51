"""Exported programs become modules that compute the same, with the parameters by their names."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable

import cloudpickle
import pytest
import torch
from torch import Tensor, nn

from palettune.device_bench.conversion.base_program import base_program
from palettune.evaluators.torch_programs.exported_reader import module_of_export
from palettune.evaluators.torch_programs.operators import TorchProgramError
from palettune.space.target import DeploymentTarget
from tests.evaluators.torch_programs import program_models as models

IMAGE, WORDS = models.IMAGE, models.WORDS


class Constant(nn.Module):
    """A constant that is an attribute, and a region without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 1)
        self.table = torch.ones(2, 8, 8) * 3

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, list[Tensor]]]:
        with torch.no_grad():
            x = x * 2
        y = self.layer(x) + self.table
        return y, {"more": [y.sum(1), y[:, 0]]}


CASES: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "mixed": (models.Mixed, IMAGE),
    "sizes": (models.Sizes, IMAGE),
    "tied": (models.Tied, WORDS),
    "constant": (Constant, IMAGE),
}


def exported(model: nn.Module, x: Tensor) -> torch.export.ExportedProgram:
    return torch.export.export(model, (x,))


@pytest.mark.parametrize("name", CASES)
def test_the_same_is_computed_and_parameters_keep_their_names(name: str) -> None:
    torch.manual_seed(0)
    make, x = CASES[name]
    model = models.ready(make())
    found = models.ready(module_of_export(exported(model, x)))
    assert type(found(x)) is type(model(x))
    for got, wanted in zip(models.flat(found(x)), models.flat(model(x)), strict=True):
        assert torch.allclose(got, wanted, atol=1e-5)
    assert {key for key, _ in found.named_parameters()} == {key for key, _ in model.named_parameters()}
    assert list(inspect.signature(found.forward).parameters) == list(inspect.signature(model.forward).parameters)
    for made in (copy.deepcopy(found), cloudpickle.loads(cloudpickle.dumps(found))):
        assert made.forward.module is made
        for parameter in made.parameters():
            parameter.zero_()
        assert not torch.equal(models.flat(made(x))[0], models.flat(found(x))[0])


@pytest.mark.matrix(1)
@pytest.mark.parametrize("name", CASES)
def test_weights_are_layers(name: str) -> None:
    make, x = CASES[name]
    found = models.ready(module_of_export(exported(models.ready(make()), x)))
    base = base_program(found, (x,), DeploymentTarget.IOS18)
    assert {layer.tensor for layer in base.layers} == {
        name for name, value in found.named_parameters() if value.ndim > 1
    }


def test_other_shapes_than_it_was_exported_for_are_refused() -> None:
    found = module_of_export(exported(models.ready(models.Sizes()), IMAGE))
    with pytest.raises(
        TorchProgramError, match=r"exported for 'x' of shape \(1, 3, 8, 8\), and got \(2, 3, 8, 8\).*dynamic_shapes"
    ):
        found(IMAGE.repeat(2, 1, 1, 1))


def test_a_dynamic_axis_may_have_any_size() -> None:
    model = models.ready(models.Sizes())
    batch = torch.export.Dim("batch", min=1, max=8)
    program = torch.export.export(model, (IMAGE.repeat(2, 1, 1, 1),), dynamic_shapes=({0: batch},))
    found = module_of_export(program)
    for count in (1, 3):
        x = IMAGE.repeat(count, 1, 1, 1)
        assert torch.allclose(found(x), model(x), atol=1e-6)


class State(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        self.seen.add_(1)
        return x[0, :, 0, 0] * self.seen


def test_a_buffer_that_is_written_is_state() -> None:
    found = module_of_export(exported(State(), IMAGE))
    first, second = found(IMAGE).clone(), found(IMAGE).clone()
    assert torch.allclose(second, first * 2)
    assert torch.equal(found.seen, torch.full((3,), 2.0))


class Chooses(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,))


def test_control_flow_is_refused_by_name() -> None:
    with pytest.raises(TorchProgramError, match=r"'cond'.*return the torch\.nn\.Module"):
        module_of_export(exported(Chooses(), IMAGE))
