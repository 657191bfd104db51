"""Private and undocumented names of libraries stand in one file per room, where each is tested."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("space", "device_bench", "evaluators", "search")
LIBRARIES = ("coremltools", "torch", "optuna")

#: Where such names may stand.
INTERNALS = "library_internals.py"
#: Files that still use such names, to be emptied.
OPEN: frozenset[str] = frozenset()

#: What coremltools documents: https://apple.github.io/coremltools/source/index.html.
DOCUMENTED = (
    "coremltools.converters.mil.mil.ops.defs",
    "coremltools.models",
    "coremltools.optimize.coreml",
    "coremltools.optimize.torch",
    "coremltools.proto",
)
#: Exactly these modules of the converter are documented, not what lies in them.
DOCUMENTED_ALONE = (
    "coremltools",
    "coremltools.converters",
    "coremltools.converters.mil",
    "coremltools.converters.mil.mil",
    "coremltools.converters.mil.mil.passes.pass_pipeline",
)
#: Of named tuples, public in spite of the underscore (https://docs.python.org/3/library/collections.html).
NAMED_TUPLE = {"_asdict", "_field_defaults", "_fields", "_make", "_replace"}


def is_private(name: str) -> bool:
    """One underscore before a name; with one behind, too, it is a protocol's, such as IPython's ``_repr_html_``."""
    return name.startswith("_") and not name.endswith("_")


def imported(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Line, module and name of what a file imports; the name is empty where a module is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, node.module, alias.name) for alias in node.names)


def own_names(tree: ast.Module) -> set[str]:
    """Attributes that the classes of a file define: methods, class variables and what is set on ``self``."""
    names = {node.attr for node in ast.walk(tree) if is_of_self(node)}
    for node in (one for kind in ast.walk(tree) if isinstance(kind, ast.ClassDef) for one in kind.body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        else:
            names |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    return names


def is_of_self(node: ast.AST) -> bool:
    owner = node.value if isinstance(node, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id in ("self", "cls")


def private_attributes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of each private attribute that is read, set or asked for on something that is not ``self``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not is_of_self(node):
            yield node.lineno, node.attr
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
            "getattr",
            "setattr",
            "hasattr",
            "delattr",
        ):
            yield from ((node.lineno, one.value) for one in node.args[1:2] if isinstance(one, ast.Constant))


def found_in(source: str) -> list[str]:
    """Line and name of every private name of a library."""
    tree = ast.parse(source)
    found = []
    for line, module, name in imported(tree):
        parts = [*module.split("."), name]
        if parts[0] not in LIBRARIES:
            continue
        documented = module in DOCUMENTED_ALONE or any(f"{module}.".startswith(f"{one}.") for one in DOCUMENTED)
        if any(map(is_private, parts)) or (parts[0] == "coremltools" and not documented):
            found.append(f"{line}: {module}.{name}".rstrip("."))
    known = own_names(tree) | NAMED_TUPLE
    found += [f"{line}: .{name}" for line, name in private_attributes(tree) if is_private(name) and name not in known]
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_private_names_of_libraries_stand_in_one_file(room: str) -> None:
    found = []
    for path in sorted((ROOT / room).rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if path.name != INTERNALS and name not in OPEN:
            found += [f"{name}:{one}" for one in found_in(path.read_text(encoding="utf-8"))]
    assert found == [], f"move these to {room}/{INTERNALS}, each with the version it was tested with and a test"


@pytest.mark.parametrize("name", sorted(OPEN))
def test_open_files_are_open(name: str) -> None:
    assert found_in((ROOT / name).read_text(encoding="utf-8")), f"{name} is clean: take it out of OPEN"


def test_a_room_has_one_such_file() -> None:
    assert all(path.parent.parent == ROOT for room in ROOMS for path in (ROOT / room).rglob(INTERNALS))


@pytest.mark.parametrize(
    "line",
    [
        "from torch.utils import _pytree",
        "import torch._dynamo",
        "from coremltools.converters.mil.backend.mil.load import load",
        "from coremltools.optimize.torch._utils.k_means import KMeansConfig",
        "model._mil_program",
        "getattr(module, '_buffers')",
        "def _version(value): return value._version",
    ],
)
def test_private_names_are_found(line: str) -> None:
    assert len(found_in(line)) == 1


@pytest.mark.parametrize("line", ["self._own", "pair._replace(a=1)", "type(x).__name__", "import torch.nn.functional"])
def test_other_names_are_not(line: str) -> None:
    assert found_in(line) == []
