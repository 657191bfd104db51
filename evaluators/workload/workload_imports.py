"""Import of a workload file and the modules beside it, under names of their own.

A workload's folder often holds modules called ``data``, ``utils`` or ``search``. They are importable from the
workload's own code only: its ``import data`` finds the file beside it, no other code ever does, and the ``data`` of
another workload in the same process is another module.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

__all__ = ["import_beside", "import_workload", "importable"]

_PREFIX = "palettune_workload_"


def import_workload(path: Path) -> ModuleType:
    """Execute a workload file anew; it can import the modules of its folder.

    Raises:
        Exception: any exception that the file raises.
    """
    namespace = _Namespace(path.parent)
    namespace.forget()
    _install_finder()
    package = ModuleType(namespace.prefix)
    package.__path__ = [str(path.parent)]
    sys.modules[namespace.prefix] = package
    importlib.invalidate_caches()
    name = f"{namespace.prefix}.{path.stem.replace('.', '_')}"
    spec = spec_from_file_location(name, path, loader=_Loader(name, str(path), namespace))
    if spec is None or spec.loader is None:
        raise ImportError(f"{path}: not a Python file")
    module = module_from_spec(spec)
    sys.modules[name] = module
    with importable(path.parent):
        spec.loader.exec_module(module)
    return module


def import_beside(path: Path, name: str) -> ModuleType:
    """Import a module that lies beside a workload file, as that file's own code would.

    Raises:
        Exception: any exception that the module raises.
    """
    return _Namespace(path.parent).import_module(name, fromlist=("__name__",))


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Let modules of a folder be imported by plain name inside the context, for pickled classes; unload them afterwards."""
    before = set(sys.modules)
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if not name.startswith(_PREFIX) and _lies_in(sys.modules[name], folder):
                del sys.modules[name]


class _Namespace:
    """The modules of one folder, under a prefix that no other folder has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prefix = _PREFIX + hashlib.blake2b(str(folder).encode(), digest_size=6).hexdigest()

    def forget(self) -> None:
        """Let the next import execute every module of the folder again."""
        for name in [name for name in sys.modules if name == self.prefix or name.startswith(f"{self.prefix}.")]:
            del sys.modules[name]

    def holds(self, name: str, taken: Sequence[str] = ()) -> bool:
        """Whether an import finds its module in the folder.

        A folder without ``__init__.py`` yields to an installed package, as in Python, unless what is imported of it is a
        file in it: ``evaluators/accuracy.py`` is the workload's, whatever package ``evaluators`` there is elsewhere.

        Args:
            name: dotted name that is imported.
            taken: what is imported from it.
        """
        top, *inner = name.split(".")
        place = self.folder / top
        if place.with_name(f"{top}.py").is_file() or (place / "__init__.py").is_file():
            return True
        if any(place.joinpath(*inner, part).with_suffix(".py").is_file() for part in taken):
            return True
        if inner and place.joinpath(*inner).with_suffix(".py").is_file():
            return True
        return place.is_dir() and top not in sys.modules and PathFinder.find_spec(top) is None

    def import_module(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """What ``import`` does in the folder's modules; arguments as for ``builtins.__import__``."""
        top = name.partition(".")[0]
        if level or not self.holds(name, fromlist or ()):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        found = importlib.import_module(f"{self.prefix}.{name}")
        if fromlist:
            return builtins.__import__(found.__name__, globals, locals, fromlist, 0)
        return sys.modules[f"{self.prefix}.{top}"]


class _Loader(SourceFileLoader):
    """Executes a module with the imports of its workload's folder."""

    def __init__(self, name: str, path: str, namespace: _Namespace) -> None:
        super().__init__(name, path)
        self._namespace = namespace

    def get_code(self, fullname: str) -> CodeType:
        """Compile the file as it is now: cached bytecode is stale for a second after a change that keeps its size."""
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module's code."""
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._namespace.import_module}
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds the modules of workloads' folders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module whose name has the prefix of a workload's folder."""
        if not fullname.startswith(_PREFIX) or path is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader) and spec.origin is not None:
            root = sys.modules[fullname.partition(".")[0]]
            spec.loader = _Loader(fullname, spec.origin, _Namespace(Path(next(iter(root.__path__)))))
        return spec


def _install_finder() -> None:
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _lies_in(module: ModuleType, folder: Path) -> bool:
    origin = getattr(module, "__file__", None)
    return origin is not None and Path(origin).is_relative_to(folder)
