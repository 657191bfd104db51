"""Programs as objects and as files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from palettune.evaluators.torch_programs.operators import TorchProgramError
from palettune.evaluators.torch_programs.torch_programs import as_module, is_program_file, read_program, without_scripts

X = torch.ones(1, 3)


class Waits(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.jit.wait(torch.jit.fork(torch.relu, x))


@pytest.mark.parametrize(
    ("path", "program"),
    [("a.pt", True), ("a.PT2", True), ("a.pth", True), ("b/a.ts", True), ("a.mlpackage", False), ("network", False)],
)
def test_files_are_known_by_their_suffix(path: str, program: bool) -> None:
    assert is_program_file(path) is program
    assert is_program_file(Path(path)) is program


def test_modules_stay_and_programs_become_modules() -> None:
    layer = nn.Linear(3, 2)
    assert as_module(layer) is layer
    assert as_module(3) == 3
    for program in (torch.jit.script(layer), torch.jit.trace(layer, X), torch.export.export(layer, (X,))):
        found = as_module(program)
        assert isinstance(found, nn.Module)
        assert torch.allclose(found(X), layer(X))


def test_files_of_both_kinds_are_read(tmp_path: Path) -> None:
    layer = nn.Linear(3, 2).eval()
    torch.jit.script(layer).save(tmp_path / "a.pt")
    torch.export.save(torch.export.export(layer, (X,)), tmp_path / "a.pt2")
    for name in ("a.pt", "a.pt2"):
        found = read_program(tmp_path / name)
        assert torch.allclose(found(X), layer(X))
        assert [name for name, _ in found.named_parameters()] == ["weight", "bias"]


@pytest.mark.parametrize("name", ["a.pt", "a.pt2"])
def test_a_checkpoint_is_no_program(tmp_path: Path, name: str) -> None:
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / name)
    with pytest.raises(
        TorchProgramError, match=r"does not open as.*a checkpoint has no program: make the module in model\(\)"
    ):
        read_program(tmp_path / name)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(TorchProgramError, match=r"gone\.pt: no such file"):
        read_program(tmp_path / "gone.pt")


def test_scripts_inside_a_module_become_modules_where_they_can() -> None:
    shared = torch.jit.script(nn.Linear(3, 3))
    model = nn.Sequential(
        shared, nn.ReLU(), shared, nn.Sequential(torch.jit.trace(nn.Linear(3, 2), X)), torch.jit.script(Waits())
    )
    wanted = model(X)
    without_scripts(model)
    assert torch.allclose(model(X), wanted)
    assert model[0] is model[2]
    assert [isinstance(part, torch.jit.ScriptModule) for part in (model[0], model[3][0], model[4])] == [
        False,
        False,
        True,
    ]
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "3.0.weight", "3.0.bias"]
