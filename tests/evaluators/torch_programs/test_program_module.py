"""Modules that hold what a program uses, and run it."""

from __future__ import annotations

import copy
import inspect

import pytest
import torch
from torch import nn

from palettune.evaluators.torch_programs.operators import TorchProgramError
from palettune.evaluators.torch_programs.program import Block, CallStep, Read, ValueSlot
from palettune.evaluators.torch_programs.program_module import Argument, ProgramModule, same_tensor


def linear() -> ProgramModule:
    module = ProgramModule("test")
    place = module.hold("block.0", "weight", torch.eye(2) * 2, trainable=True)
    steps = (Read(place, 1), CallStep("aten::linear", (ValueSlot(0), ValueSlot(1)), {}, 2))
    return module.runs(Block((0,), steps, (ValueSlot(2),)), [Argument("x", (None, 2))])


def test_parameters_have_dotted_names_and_are_what_is_used() -> None:
    module = linear()
    x = torch.ones(3, 2)
    assert [name for name, _ in module.named_parameters()] == ["block.0.weight"]
    assert isinstance(module.get_submodule("block.0"), nn.Module)
    assert torch.equal(module(x), x * 2)
    made = copy.deepcopy(module)
    made.get_parameter("block.0.weight").data.zero_()
    assert torch.equal(made(x), x * 0)
    assert torch.equal(module(x=x), x * 2)


def test_the_signature_is_the_programs() -> None:
    module = linear()
    assert list(inspect.signature(module.forward).parameters) == ["x"]
    assert module.forward.__code__.co_name == "__call__"
    with pytest.raises(TorchProgramError, match=r"'x' of shape \(any, 2\), and got \(2, 3\)"):
        module(torch.ones(2, 3))
    with pytest.raises(TypeError, match="too many"):
        module(torch.ones(2, 2), 1)


def test_what_is_held_twice_is_one_parameter_and_lists_are_places() -> None:
    module = ProgramModule("test")
    weight = torch.ones(2, 2)
    module.hold("a", "weight", weight, trainable=True)
    module.hold("b", "weight", weight.view(2, 2), trainable=True)
    flat = module.hold("b", "flat", [weight])
    seen = module.hold("", "seen", torch.zeros(1))
    size = module.hold("a", "size", 3)
    assert module.get_parameter("a.weight") is module.get_parameter("b.weight")
    assert flat.get(module)[0] is module.get_parameter("a.weight")
    assert size.get(module) == 3
    seen.set(module, torch.ones(1))
    assert torch.equal(module.seen, torch.ones(1))
    assert dict(module.named_buffers()).keys() == {"seen"}


def test_tensors_are_the_same_by_memory_and_form() -> None:
    one = torch.ones(2, 2)
    assert same_tensor(one) == same_tensor(one.detach())
    assert same_tensor(one) != same_tensor(one.t().contiguous())
    assert same_tensor(one) != same_tensor(one[0])
    assert same_tensor(torch.ones(0)) != same_tensor(torch.zeros(0))
