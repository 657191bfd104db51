"""A workload given in memory: a module, or an object with the functions of a workload file."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

from palettune.evaluators.workload.torch_defaults import TorchDefaults
from palettune.space.errors import UserError, suggestion

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["FUNCTIONS", "WorkloadError", "WorkloadObject", "WorkloadSource", "detached_copy"]

FUNCTIONS = (
    "model",
    "example_inputs",
    "evaluation_data",
    "metrics",
    "calibration_data",
    "confirmation_data",
    "training_data",
    "loss",
)
"""Names of the functions that a workload may have; the first three are required."""
_REQUIRED = FUNCTIONS[:3]


class WorkloadError(UserError):
    """A workload is missing, fails, or returns something else than its contract says."""


@dataclass(frozen=True, eq=False, repr=False)
class WorkloadObject:
    """A module or an object whose attributes are a workload's functions; it stays in memory and is written nowhere.

    Attributes:
        name: for messages.
        functions: the module or the object; of a module only the functions travel to another process.
        folder: where a relative path returned by ``model()`` begins, and whose modules travel with the object.
        defaults: when the object was given.
    """

    name: str
    functions: object
    folder: Path
    defaults: TorchDefaults

    @classmethod
    def of(cls, functions: object) -> WorkloadObject:
        """Take a module or an object as it is now.

        Raises:
            WorkloadError: a required function is missing.
        """
        name = _name(functions)
        require_functions(name, functions)
        return cls(name, functions, _folder(functions), TorchDefaults.now())

    def __reduce__(self) -> tuple[object, ...]:
        functions = self.functions
        if isinstance(functions, ModuleType):
            functions = SimpleNamespace(**{n: getattr(functions, n) for n in FUNCTIONS if hasattr(functions, n)})
        return WorkloadObject, (self.name, functions, self.folder, self.defaults)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<workload: {self}>"


WorkloadSource = Path | WorkloadObject
"""What an experiment's ``workload`` is: the path of a file, or functions in memory."""


def require_workload_file(path: Path) -> None:
    """Raise WorkloadError where there is no such Python file; nothing is imported."""
    if not path.is_file():
        raise WorkloadError(f"{path}: no such workload file; `workload` in the experiment names a Python file")
    if path.suffix != ".py":
        raise WorkloadError(f"{path}: not a Python file; a workload is a .py file of plain functions")


def require_functions(name: str, functions: object) -> None:
    """Raise WorkloadError, naming the nearest attribute, where a required function is missing."""
    for function in _REQUIRED:
        if not callable(getattr(functions, function, None)):
            defined = [n for n in dir(functions) if not n.startswith("_") and callable(getattr(functions, n, None))]
            near = suggestion(function, [n for n in defined if n not in FUNCTIONS])
            raise WorkloadError(
                f"{name}: the function {function}() is missing{near or '.'} "
                f"A workload defines at least {', '.join(f'{n}()' for n in _REQUIRED)}"
            )


def detached_copy(model: nn.Module) -> nn.Module:
    """Copy a model that belongs to someone else; tensors computed from parameters lose their gradient in the copy."""
    computed = {id(value): value.detach().clone() for value in _held(model) if value.grad_fn is not None}
    return copy.deepcopy(model, dict(computed))


def _held(model: nn.Module) -> Iterator[Tensor]:
    """Tensors that modules hold as plain attributes."""
    from torch import Tensor

    for module in model.modules():
        yield from (value for value in vars(module).values() if isinstance(value, Tensor))


def _name(functions: object) -> str:
    if isinstance(functions, ModuleType):
        return f"module {functions.__name__}"
    return f"{getattr(functions, '__name__', type(functions).__name__)} object"


def _folder(functions: object) -> Path:
    file = getattr(functions, "__file__", None)
    return Path(file).resolve().parent if file else Path.cwd()
