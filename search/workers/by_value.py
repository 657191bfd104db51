"""Send a workload in memory to Ray's workers: by value, so that no worker needs the modules it was defined in."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import ray
from ray import cloudpickle

from palettune.evaluators.workload.workload_object import FUNCTIONS, WorkloadError, WorkloadObject
from palettune.search.workers.worker_settings import WorkerSettings

__all__ = ["put_by_value", "sent"]

_INSTALLED = tuple(Path(sysconfig.get_paths()[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def sent(settings: WorkerSettings) -> Any:
    """Settings as a worker on Ray is given them: as they are, or a reference where they hold a workload in memory."""
    workload = settings.workload
    return put_by_value(settings, workload) if isinstance(workload, WorkloadObject) else settings


def put_by_value(value: object, workload: WorkloadObject) -> Any:
    """Put a value that holds a workload into Ray's object store, once for all workers; give its reference.

    Modules of the workload's folder, and those that its functions are defined in, travel with it; whatever else it
    imports must be installed where workers run.

    Raises:
        WorkloadError: something that the functions hold cannot be sent to another process.
    """
    with _by_value(_own_modules(workload)):
        try:
            return ray.put(value)
        except Exception as error:  # whatever an object raises when it is taken apart
            first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise WorkloadError(
                f"{workload}: cannot be sent to Ray's workers ({first_line}); evaluate in this process (inline=True), or "
                "put the functions in a file and give its path"
            ) from error


def _own_modules(workload: WorkloadObject) -> list[ModuleType]:
    """Loaded modules of the user's own, which a worker might not find."""
    functions = workload.functions
    held = (functions, type(functions), *(getattr(functions, name, None) for name in FUNCTIONS))
    defining = {getattr(value, "__module__", None) for value in held}
    return [
        module
        for name, module in list(sys.modules.items())
        if isinstance(module, ModuleType)
        and module.__name__ == name
        and _is_own(module)
        and (name in defining or Path(str(module.__file__)).is_relative_to(workload.folder))
    ]


def _is_own(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or module.__name__.partition(".")[0] in ("palettune", "__main__"):
        return False
    path = Path(file)
    return "site-packages" not in path.parts and not any(path.is_relative_to(folder) for folder in _INSTALLED)


@contextmanager
def _by_value(modules: Sequence[ModuleType]) -> Iterator[None]:
    before = cloudpickle.list_registry_pickle_by_value()
    added = [module for module in modules if module.__name__ not in before]
    for module in added:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in added:
            cloudpickle.unregister_pickle_by_value(module)
