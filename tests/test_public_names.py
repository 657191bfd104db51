"""One name for one thing: no two public names of the packages are equal."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("space", "device_bench", "evaluators", "search")

#: Names that two modules may share, each with the reason.
ALLOWED: dict[str, str] = {}


def sources() -> Iterator[Path]:
    for room in ROOMS:
        yield from sorted((ROOT / room).rglob("*.py"))
    # the rooms are links within the package
    yield from sorted(path for path in (ROOT / "palettune").rglob("*.py") if path.resolve() == path)


def defined(tree: ast.Module) -> set[str]:
    """Names that a module makes itself; those it only imports, or hands out lazily, are another module's."""
    names = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef))}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def public(tree: ast.Module) -> set[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def holders() -> dict[str, list[str]]:
    """Where each public name is defined."""
    found = defaultdict(list)
    for path in sources():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name in sorted(public(tree) & defined(tree)):
            found[name].append(str(path.relative_to(ROOT)))
    return found


def test_no_two_public_names_are_equal() -> None:
    assert {name: paths for name, paths in holders().items() if len(paths) > 1 and name not in ALLOWED} == {}


def test_what_is_allowed_is_needed() -> None:
    found = holders()
    assert [name for name in ALLOWED if len(found.get(name, ())) < 2] == []


def test_no_public_name_is_that_of_a_room() -> None:
    assert set(holders()) & set(ROOMS) == set()


@pytest.mark.slow
def test_public_names_are_found() -> None:
    found = holders()
    assert found["Encoding"] == ["space/encoding.py"]  # other modules only import it
    assert found["WeightPlace"] == ["device_bench/conversion/base_program.py"]
