"""Models that are programs of torch: objects, and files of TorchScript (``.pt``, ``.pth``) and ``torch.export`` (``.pt2``)."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from palettune.evaluators.library_internals import own_modules
from palettune.evaluators.torch_programs.exported_reader import module_of_export
from palettune.evaluators.torch_programs.operators import TorchProgramError
from palettune.evaluators.torch_programs.script_reader import module_of_script

__all__ = ["as_module", "is_program_file", "read_program", "without_scripts"]

_EXPORTED = ".pt2"
_SCRIPTS = (".pt", ".pth", ".ts", ".torchscript")


def is_program_file(path: str | Path) -> bool:
    """Return whether a path is that of a file of TorchScript or of an exported program, by its suffix."""
    return Path(path).suffix.lower() in (_EXPORTED, *_SCRIPTS)


def read_program(path: Path) -> nn.Module:
    """Read a file of TorchScript or of an exported program as a module on the CPU.

    Raises:
        TorchProgramError: there is no such file, it is something else, such as a checkpoint, or an op is not supported.
    """
    if not path.is_file():
        raise TorchProgramError(f"{path}: no such file")
    exported = path.suffix.lower() == _EXPORTED
    try:
        found: Any = torch.export.load(path) if exported else _script(path)
    except Exception as error:
        what = "a program of torch.export.save" if exported else "TorchScript of torch.jit.save"
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise TorchProgramError(
            f"{path}: does not open as {what} ({type(error).__name__}: {lines[0][:200] if lines else ''}); a checkpoint has no "
            "program: make the module in model() and load the checkpoint into it"
        ) from error
    module: nn.Module = as_module(found)
    return module


def _script(path: Path) -> Any:
    return torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]


def as_module(model: Any) -> Any:
    """Return a program of torch as a module of plain parameters; anything else as it is.

    Raises:
        TorchProgramError: an op that does not run outside of its program.
    """
    if isinstance(model, torch.jit.ScriptModule):
        return module_of_script(model)
    return module_of_export(model) if isinstance(model, torch.export.ExportedProgram) else model


def without_scripts(model: nn.Module) -> None:
    """Replace TorchScript modules inside a module by modules of plain parameters, in place, where that is possible."""
    made: dict[int, nn.Module] = {}
    for part in list(model.modules()):
        for name, child in list(own_modules(part).items()) if not isinstance(part, torch.jit.ScriptModule) else ():
            if isinstance(child, torch.jit.ScriptModule):
                with contextlib.suppress(TorchProgramError):
                    made[id(child)] = made.get(id(child)) or module_of_script(child)
                    own_modules(part)[name] = made[id(child)]
