"""One version, which the package, its metadata and the command line say; and completion of the command line."""

import subprocess
import sys

import pytest
import typer

import palettune
from palettune.search.command_line.cli import app, main


def test_the_command_line_says_the_version(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["palettune", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"palettune {palettune.__version__}\n"


def test_the_wheel_has_the_packages_version(tmp_path):
    asked = [sys.executable, "-m", "hatchling", "version"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=palettune.__path__[0] + "/..")
    assert said.stdout.strip() == palettune.__version__


def test_commands_and_options_are_completed(monkeypatch, capsys):
    monkeypatch.setenv("_PALETTUNE_COMPLETE", "complete_bash")
    for words, expected in {"palettune ins": "inspect", "palettune search a.toml --inl": "--inline"}.items():
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        with pytest.raises(SystemExit):
            app(prog_name="palettune")
        assert capsys.readouterr().out.split() == [expected]


def test_completion_can_be_installed():
    options = {option for parameter in typer.main.get_command(app).params for option in parameter.opts}
    assert {"--install-completion", "--show-completion", "--version"} <= options


def test_the_command_line_is_light():
    """Completion starts it at every press of the key: nothing heavy is imported before a command runs."""
    heavy = ["torch", "coremltools", "optuna", "ray", "mlflow", "scipy", "sklearn", "matplotlib", "pydantic"]
    code = f"import sys, palettune.search.command_line.cli; print([name for name in {heavy} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
