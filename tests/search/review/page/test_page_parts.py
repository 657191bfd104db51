"""The page's parts fit together: each is named in the page, imports what exists and uses it, and asks for no network."""

import itertools
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[4] / "search" / "review" / "page"
HTML = (PAGE / "page.html").read_text()
MODULES = {path.stem: path.read_text() for path in sorted((PAGE / "code").glob("*.js")) if path.stem != "start"}
LIBRARIES = {path.stem: path.read_text() for path in (PAGE / "libraries").glob("*.js")}
IMPORT = re.compile(r'^import (?:\{([^}]+)\}|\* as (\w+)) from "([^"]+)";$', re.MULTILINE)


def exported(module):
    text = LIBRARIES.get(module)
    if text is not None:
        return {name.split(" as ")[-1] for block in re.findall(r"export\{([^}]*)\}", text) for name in block.split(",")}
    return set(re.findall(r"^export (?:async )?(?:function|const|let) (\w+)", MODULES[module], re.MULTILINE))


def test_the_page_names_every_part_once():
    named = re.findall(r'(?:src|href)="([^"]+)"', HTML)
    held = [str(path.relative_to(PAGE)) for kind in ("*.js", "*.css") for path in PAGE.rglob(kind)]
    assert sorted(named) == sorted(held)
    assert re.findall(r'data-module="(\w+)" src="\w+/(\w+)\.js"', HTML) == [
        (name, name) for name in re.findall(r'data-module="(\w+)"', HTML)
    ]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_what_exists_and_uses_it(name):
    text = MODULES[name]
    imports = IMPORT.findall(text)
    assert len(imports) == len(re.findall(r"^import", text, re.MULTILINE))
    body = IMPORT.sub("", text)
    for names, _, source in imports:
        wanted = {one.strip() for one in names.split(",") if one.strip()}
        assert wanted <= exported(source), source
        assert {one for one in wanted if not re.search(rf"(?<![\w$.]){one}(?![\w$])", body)} == set()


@pytest.mark.parametrize("name", MODULES)
def test_a_module_begins_with_what_it_is_and_every_export_says_what_it_does(name):
    lines = MODULES[name].splitlines()
    assert lines[0].startswith("// ")
    bare = [
        line
        for before, line in itertools.pairwise(lines)
        if re.match(r"export (async )?function", line) and not before.endswith("*/")
    ]
    assert bare == []


def test_no_part_asks_for_a_network():
    texts = [
        *MODULES.values(),
        (PAGE / "code" / "start.js").read_text(),
        *(p.read_text() for p in PAGE.glob("style/*.css")),
    ]
    assert [
        found for text in texts for found in re.findall(r"(?:https?:)?//[a-z]+\.[a-z]+|@import|\bfetch\(", text)
    ] == []


def test_libraries_keep_their_names_and_licences():
    licences = (PAGE / "libraries" / "LICENCES.txt").read_text()
    for name, text in LIBRARIES.items():
        kept = re.match(r"/\*! (.+?): see LICENCES.txt \*/", text)
        assert kept, name
        for package, version in re.findall(r"([@\w/-]+) (\d+\.\d+\.\d+)", kept[1].lower()):
            assert re.search(rf"==== @?(?:preact/)?{re.escape(package)} {version}", licences, re.MULTILINE), package
