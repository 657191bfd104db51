"""The wheel on the other Pythons of this machine that Palettune supports: installed, imported, and a small search."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import palettune
from tests.search.conftest import Project

ROOT = Path(__file__).parents[2]
MINORS = (11, 12, 13)
NEEDED_GB = 12  # PyTorch's CUDA build is what pip finds for most Pythons on Linux


def interpreter(minor: int) -> str | None:
    """A Python 3.minor of this machine, on the path or of pyenv's; a shim of a version that is not set does not run."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    on_path = shutil.which(f"python3.{minor}")
    found = ([on_path] if on_path else []) + [str(path) for path in sorted(pyenv.glob(f"3.{minor}.*/bin/python"))]
    asked = "import sys, venv, ensurepip; print(sys.version_info[:2])"
    for path in found:
        done = subprocess.run([path, "-c", asked], capture_output=True, text=True, check=False)
        if done.stdout.strip() == f"(3, {minor})":
            return path
    return None


def run(*command: object, **options) -> str:
    """What a command prints; it must end with 0, in an environment that does not lead to the checkout."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, **options)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


def test_the_pythons_tried_are_those_declared():
    declared = re.findall(r"Python :: 3\.(\d+)", (ROOT / "pyproject.toml").read_text())
    assert tuple(int(minor) for minor in declared) == MINORS
    assert sys.version_info[:2] in {(3, minor) for minor in MINORS}


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("minor", MINORS)
def test_the_wheel_works(minor, tmp_path):
    python = interpreter(minor)
    if sys.version_info[:2] == (3, minor):
        pytest.skip("the suite itself runs on this Python")
    if python is None:
        pytest.skip(f"no Python 3.{minor} on this machine")
    if shutil.disk_usage(tmp_path).free < NEEDED_GB * 1e9:
        pytest.skip(f"less than {NEEDED_GB} GB are free for the packages that Palettune needs")
    environment = tmp_path / "environment"
    try:
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=ROOT)
        run(python, "-m", "venv", environment)
        (wheel,) = tmp_path.glob("*.whl")
        run(environment / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-cache-dir", "--no-compile", wheel)
        assert run(environment / "bin" / "palettune", "--version") == f"palettune {palettune.__version__}\n"
        said = run(environment / "bin" / "python", "-c", "import palettune; print(palettune.__version__)", cwd=tmp_path)
        assert said == f"{palettune.__version__}\n"
        project = Project(tmp_path)
        words = [project.experiment, "--inline", "--root", project.root]
        assert "front of tiny" in run(environment / "bin" / "palettune", "search", *words, cwd=tmp_path)
    finally:
        shutil.rmtree(environment, ignore_errors=True)
