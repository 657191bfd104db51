"""The torch module of each op of a converted program."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.library_internals import ScopeSource
from palettune.device_bench.package.op_modules import (
    enclosing,
    mark_exported,
    module_of,
    op_modules,
    source_of,
    uncast_name,
)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x).tanh()


@pytest.mark.parametrize("traced", [False, True], ids=["exported", "traced"])
@pytest.mark.slow
def test_ops_carry_the_whole_name_of_their_module(traced, monkeypatch):
    if traced:
        monkeypatch.setattr("palettune.device_bench.conversion.conversion._exported", lambda *_: 1 / 0)
    found = op_modules(convert(nn.Sequential(Block(), Block()).eval(), (torch.ones(1, 4),), "iOS17"))
    assert {"0.linear", "1.linear", "0", "1"} <= set(found.values())
    assert [found[name] for name in found if name.startswith("linear")] == ["0.linear", "1.linear"]


def test_lines_of_source_stand_beside_the_module():
    node = SimpleNamespace(meta={"stack_trace": 'File "net.py", line 3', "nn_module_stack": {"": ("model.a@1", None)}})
    bare = SimpleNamespace(meta={})
    mark_exported(SimpleNamespace(graph=SimpleNamespace(nodes=[node, bare])))
    ops = [SimpleNamespace(scopes={ScopeSource.EXIR_STACK_TRACE: [one.meta["stack_trace"]]}) for one in (node, bare)]
    assert [source_of(op) for op in ops] == ['File "net.py", line 3', ""]
    assert [module_of(op) for op in ops] == ["a", None]
    assert source_of(SimpleNamespace(scopes={})) == ""


def test_names_of_the_modules_around_one():
    assert enclosing("a.b.0") == ("a.b.0", "a.b", "a")
    assert enclosing("") == ()


def test_the_name_of_an_op_before_it_was_cast():
    assert uncast_name("linear_0_cast_fp16") == "linear_0"
    assert uncast_name("linear_0") == "linear_0"
