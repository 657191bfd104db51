"""Send a workload in memory to Ray's workers: by value, so that no worker needs the modules it was defined in."""

from __future__ import annotations

import copyreg
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
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
    """Return the settings as a worker on Ray takes them: a reference where they hold a workload in memory."""
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
            cause = error.__cause__ or error  # Ray's own words repeat the whole value
            first_line = (str(cause).strip() or type(cause).__name__).splitlines()[0]
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
    """Have some modules pickled by value, and modules of unusual types by name.

    A function that names ``classes`` beside ``torch`` is taken to need the module ``torch.classes``, whose type has no
    way to be pickled.
    """
    before = cloudpickle.list_registry_pickle_by_value()
    added = [module for module in modules if module.__name__ not in before]
    unusual = {type(module) for module in list(sys.modules.values()) if _is_unusual(module)}
    for kind in unusual:
        copyreg.pickle(kind, _by_name)  # type: ignore[arg-type]
    for module in added:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in added:
            cloudpickle.unregister_pickle_by_value(module)
        for kind in unusual:
            copyreg.dispatch_table.pop(kind, None)


def _is_unusual(module: object) -> bool:
    """Whether a module is of a type of its own that nothing says how to pickle."""
    kind = type(module)
    plain = kind.__reduce__ is object.__reduce__ and kind.__reduce_ex__ is object.__reduce_ex__
    return issubclass(kind, ModuleType) and kind is not ModuleType and plain and kind not in copyreg.dispatch_table


def _by_name(module: ModuleType) -> tuple[object, ...]:
    return import_module, (module.__name__,)
