"""TorchScript becomes a module that computes the same, with the parameters by their names."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable

import cloudpickle
import pytest
import torch
from torch import Tensor, nn

from palettune.device_bench.conversion.base_program import base_program
from palettune.evaluators.computed_weights.computed_folding import fold_computed
from palettune.evaluators.torch_programs.operators import TorchProgramError
from palettune.evaluators.torch_programs.script_reader import module_of_script
from palettune.space.target import DeploymentTarget
from tests.evaluators.computed_weights.computing_models import LowRank
from tests.evaluators.torch_programs import program_models as models

IMAGE, WORDS = models.IMAGE, models.WORDS


def traced(model: nn.Module, x: Tensor) -> torch.jit.ScriptModule:
    return torch.jit.trace(model, (x,), check_trace=False, strict=False)


CASES: dict[str, tuple[Callable[[], nn.Module], Tensor, Callable[..., torch.jit.ScriptModule]]] = {
    "scripted": (models.Mixed, IMAGE, lambda model, x: torch.jit.script(model)),
    "traced": (models.Mixed, IMAGE, traced),
    "frozen": (models.Mixed, IMAGE, lambda model, x: torch.jit.freeze(torch.jit.script(model))),
    "scripted, sizes": (models.Sizes, IMAGE, lambda model, x: torch.jit.script(model)),
    "traced, sizes": (models.Sizes, IMAGE, traced),
    "scripted, tied": (models.Tied, WORDS, lambda model, x: torch.jit.script(model)),
    "traced, tied": (models.Tied, WORDS, traced),
    "scripted, lists": (models.Nest, IMAGE, lambda model, x: torch.jit.script(model)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_is_computed_and_parameters_keep_their_names(name: str) -> None:
    torch.manual_seed(0)
    make, x, compile_ = CASES[name]
    model = models.ready(make())
    found = models.ready(module_of_script(compile_(model, x)))
    for got, wanted in zip(models.flat(found(x)), models.flat(model(x)), strict=True):
        assert torch.allclose(got, wanted, atol=1e-5)
    if name != "frozen":
        shapes = {key: value.shape for key, value in model.named_parameters(remove_duplicate=False)}
        assert {key: value.shape for key, value in found.named_parameters(remove_duplicate=False)} == shapes
        assert len(list(found.parameters())) == len(list(model.parameters())), "tied parameters stay tied"
    for made in (copy.deepcopy(found), cloudpickle.loads(cloudpickle.dumps(found))):
        assert made.forward.module is made
        assert torch.equal(models.flat(made(x))[0], models.flat(found(x))[0])
        for parameter in made.parameters():
            parameter.zero_()
        assert not torch.equal(models.flat(made(x))[0], models.flat(found(x))[0])


@pytest.mark.matrix(2)
@pytest.mark.parametrize("name", CASES)
def test_weights_are_layers(name: str) -> None:
    make, x, compile_ = CASES[name]
    found = models.ready(module_of_script(compile_(models.ready(make()), x)))
    base = base_program(found, (x,), DeploymentTarget.IOS18)
    wanted = {name for name, value in found.named_parameters() if value.ndim > 1}
    assert {layer.tensor for layer in base.layers} == wanted
    assert base.refusals == {}


def test_the_weights_of_a_frozen_program_are_parameters_again() -> None:
    found = module_of_script(torch.jit.freeze(torch.jit.script(models.ready(models.Mixed()))))
    names = {name for name, value in found.named_parameters() if value.ndim > 1}
    assert {"bare", "head.weight", "conv.weight_fused_bn"} < names
    assert sorted(tuple(value.shape) for value in found.parameters() if value.shape[0] == 32)[-2:] == [(32, 8), (32, 8)]


def test_arguments_keep_names_and_defaults() -> None:
    found = module_of_script(torch.jit.script(models.ready(models.Nest())))
    assert str(inspect.signature(found.forward)) == "(x, scale=2.0)"
    assert torch.equal(found(IMAGE, scale=3.0)[0], found(IMAGE, 3.0)[0])
    assert not torch.equal(found(IMAGE, 3.0)[0], found(IMAGE)[0])


def test_state_is_carried_in_buffers_and_attributes() -> None:
    model = models.ready(models.Counted())
    found = models.ready(module_of_script(torch.jit.script(copy.deepcopy(model))))
    for _ in range(3):
        assert torch.allclose(found(IMAGE), model(IMAGE))
    assert torch.equal(found.mean, model.mean)


def test_a_weight_that_a_script_computes_is_folded() -> None:
    x = torch.randn(3, 8)
    found = models.ready(module_of_script(torch.jit.script(models.ready(LowRank()))))
    wanted = found(x)
    fold_computed(found, lambda: found(x))
    assert torch.allclose(found(x), wanted, atol=1e-6)
    (name,) = [name for name, _ in found.named_parameters() if name.endswith("_computed")]
    base = base_program(copy.deepcopy(found), (x[:1],), DeploymentTarget.IOS18)
    assert [layer.tensor for layer in base.layers] == [name]


def test_quantized_weights_are_refused_by_name() -> None:
    model = nn.Sequential(nn.Linear(4, 4)).eval()
    quantized = torch.ao.quantization.quantize_dynamic(model, {nn.Linear})
    with pytest.raises(TorchProgramError, match=r"'_packed_params'.*quantized already.*return the float model"):
        module_of_script(torch.jit.script(quantized))


class Checks(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 2:
            raise ValueError(f"two axes, not {x.dim()}")
        return x


def test_what_a_script_raises_is_raised() -> None:
    with pytest.raises(RuntimeError, match="two axes, not 1"):
        module_of_script(torch.jit.script(Checks()))(torch.ones(1))


class Waits(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.jit.wait(torch.jit.fork(torch.relu, x))


def test_an_op_that_is_not_supported_is_named() -> None:
    with pytest.raises(TorchProgramError, match=r"op '\w+::fork'.*return the torch\.nn\.Module"):
        module_of_script(torch.jit.script(Waits()))
