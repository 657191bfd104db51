"""TOML and Python blocks of the pages: experiments validate; Python compiles, imports and runs."""

import ast
import tomllib
from importlib import import_module

import pytest

import palettune
from palettune.search.experiment.experiment import load_experiment
from palettune.space.errors import UserError
from tests.docs.pages import blocks, pages

MINIMAL = 'name = "mine"\nworkload = "workload.py"\n'


def of(language):
    found = [block for page in pages() for block in blocks(page) if block.language == language]
    assert found, f"no block of {language} in any page"
    return pytest.mark.parametrize("block", found, ids=str)


def whole(text):
    """An experiment file from a block that may be a few sections of one."""
    return text if "workload" in tomllib.loads(text) else MINIMAL + text


@of("toml")
def test_experiments_validate(block, tmp_path):
    (tmp_path / "workload.py").write_text("")
    (tmp_path / "experiment.toml").write_text(whole(block.text))
    load_experiment(tmp_path / "experiment.toml")


def test_an_unknown_key_is_found(tmp_path):
    (tmp_path / "workload.py").write_text("")
    (tmp_path / "experiment.toml").write_text(whole("[budget]\ntrails = 3\n"))
    with pytest.raises(UserError, match="trails"):
        load_experiment(tmp_path / "experiment.toml")


@of("python")
def test_python_compiles_and_its_imports_of_ours_exist(block):
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "palettune":
            module = import_module(node.module)
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []


@of("python")
def test_names_of_the_python_interface_exist(block):
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pt":
            assert node.attr in palettune.__all__, f"palettune.{node.attr}"


@of("python")
def test_python_runs(block, tmp_path, monkeypatch):
    """Alone, in an empty folder; a block with a title belongs to a guide, whose files are run together."""
    if block.not_run or block.page.parent.name == "guides":
        pytest.skip(block.not_run or "the guide is run as a whole by test_guides")
    monkeypatch.chdir(tmp_path)
    exec(compile(block.text, str(block), "exec"), {"__name__": "snippet"})
