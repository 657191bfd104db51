"""First lines of public docstrings: an imperative for what is called, a noun phrase for what is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("space", "device_bench", "evaluators", "search", "palettune/testing")
#: Kernels are named after ops, and say what those compute.
KERNELS = "device_bench/runtime/ops/"

#: A clause in the place of a noun phrase.
CLAUSES = {"As", "How", "It", "That", "What", "Whatever", "When", "Where", "Which", "Who", "Why"}
#: The begin of a noun phrase, in the place of an imperative.
ARTICLES = {
    "A",
    "All",
    "An",
    "Each",
    "Every",
    "Everything",
    "Nothing",
    "One",
    "Some",
    "Something",
    "The",
    "This",
    "Those",
}
PREPOSITIONS = {"At", "By", "For", "From", "Of", "To", "Without"}
VALUES = {
    "Bytes",
    "Costs",
    "Handed",
    "Layers",
    "Names",
    "Number",
    "Plain",
    "Scores",
    "Seconds",
    "Share",
    "True",
    "Whether",
}
NOUNS = CLAUSES | ARTICLES | PREPOSITIONS | VALUES


def sources(room: str) -> list[Path]:
    paths = sorted((ROOT / room).rglob("*.py"))
    return [path for path in paths if not str(path.relative_to(ROOT)).startswith(KERNELS)]


def is_value(function: ast.FunctionDef) -> bool:
    return any(getattr(one, "id", "") in ("property", "cached_property") for one in function.decorator_list)


def documented(body: list[ast.stmt], within: str = "") -> Iterator[tuple[str, bool, ast.ClassDef | ast.FunctionDef]]:
    """Name of each public class and function, whether it is called, and its node."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            called = isinstance(node, ast.FunctionDef) and not is_value(node)
            yield f"{within}{node.name}", called, node
            if isinstance(node, ast.ClassDef):
                yield from documented(node.body, f"{node.name}.")


def found_in(source: str) -> list[str]:
    tree = ast.parse(source)
    first = [("module", False, ast.get_docstring(tree))]
    first += [(name, called, ast.get_docstring(node)) for name, called, node in documented(tree.body)]
    wrong = []
    for name, called, text in first:
        word = text.split(maxsplit=1)[0] if text else ""
        if not word or word in (NOUNS if called else CLAUSES):
            wrong.append(f"{name}: {text.splitlines()[0] if text else 'no docstring'}")
    return wrong


@pytest.mark.parametrize("room", ROOMS)
def test_first_lines_are_imperatives_or_noun_phrases(room: str) -> None:
    wrong = {str(path.relative_to(ROOT)): found_in(path.read_text(encoding="utf-8")) for path in sources(room)}
    assert {path: found for path, found in wrong.items() if found} == {}


def test_others_are_found() -> None:
    source = '"""What there is."""\ndef load():\n    """The model."""\nclass Model:\n    """A model."""\n    def run(self): ...\n'
    assert found_in(source) == ["module: What there is.", "load: The model.", "Model.run: no docstring"]
