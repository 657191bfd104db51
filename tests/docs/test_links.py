"""Every file, anchor, module and make target that a page names exists."""

import re
from importlib import import_module

import pytest

from tests.docs.pages import ROOT, anchors, blocks, links, pages, spans

TOP = ("palettune", "space", "evaluators", "device_bench", "search", "experiments", "tests", "docs", ".ci")
ROOMS = ("space", "evaluators", "device_bench", "search", "testing")
PAGES = pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))


def _files_named(page):
    """Inline code and shell words that are paths in the repository; ``a.py::test`` and ``a/*.toml`` are read, too."""
    words = spans(page) + [word for block in blocks(page) if block.language == "sh" for word in block.text.split()]
    for word in words:
        path = word.partition("::")[0].rstrip("/,.;:")
        if re.fullmatch(r"[\w.\-*]+(/[\w.\-*]+)+", path) and path.split("/")[0] in TOP:
            yield path


def _modules_named(page):
    words = spans(page) + [word for block in blocks(page) if block.language == "sh" for word in block.text.split()]
    for word in words:
        name = word.partition("(")[0]
        if re.fullmatch(r"palettune(\.\w+)+", name) and name.split(".")[1] in ROOMS:
            yield name


def _found(name):
    """Whether a dotted name is a module, or an attribute of one."""
    module, _, attribute = name.rpartition(".")
    try:
        import_module(name)
    except ModuleNotFoundError:
        return bool(module) and hasattr(import_module(module), attribute)
    return True


def test_there_are_pages():
    assert len(pages()) > 15


@PAGES
def test_links_lead_to_files_and_headings(page):
    for target, anchor in links(page):
        file = page.parent / target if target else page
        assert file.exists(), f"{target}: no such file"
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}: no such heading"


@PAGES
def test_files_named_in_a_page_exist(page):
    missing = [path for path in _files_named(page) if not list(ROOT.glob(path))]
    assert not missing


@PAGES
def test_modules_named_in_a_page_can_be_imported(page):
    assert [name for name in _modules_named(page) if not _found(name)] == []


@PAGES
def test_make_targets_named_in_a_page_exist(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lines = [line for block in blocks(page) if block.language == "sh" for line in block.text.splitlines()]
    named = [found[1] for line in lines + spans(page) if (found := re.match(r"make ([a-z-]+)", line))]
    assert [target for target in named if not re.search(rf"^{target}:", makefile, flags=re.MULTILINE)] == []


@PAGES
def test_python_programs_named_in_a_page_are_there(page):
    """``python FILE`` and ``python -m MODULE`` name files of the repository."""
    own = {block.title for block in blocks(page)}
    lines = [line for block in blocks(page) if block.language == "sh" for line in block.text.splitlines()]
    for line in lines + spans(page):
        found = re.match(r"python (-m )?(\S+)", line)
        if found:
            path = found[2].replace(".", "/") + ".py" if found[1] else found[2]
            assert path in own or (ROOT / path).is_file() or (page.parent / path).is_file(), line
