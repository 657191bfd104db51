"""The wheel, installed apart from the checkout, beside a user's own packages of the same names as our rooms."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.search.conftest import EXPERIMENT, WORKLOAD

ROOT = Path(__file__).parents[2]
ROOMS = ("search", "space", "evaluators", "device_bench", "data")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The ``bin`` folder of an environment that holds the wheel, and sees what it depends on."""
    folder = tmp_path_factory.mktemp("installed")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("palettune-*.whl")
    environment = folder / "environment"
    venv.create(environment, with_pip=False)
    (site,) = environment.glob("lib/python*/site-packages")
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",  # with `--prefix` pip would uninstall the checkout's own installation
        str(environment / "bin" / "python"),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return environment / "bin"


@pytest.fixture
def project(tmp_path):
    """A workload with packages of its own, and a working directory with others."""
    for where in ("project", "elsewhere"):
        for room in ROOMS:
            (tmp_path / where / room).mkdir(parents=True)
            (tmp_path / where / room / "__init__.py").write_text(f"NAME = {where!r}\n")
    uses = "".join(f"import {room}\nassert {room}.NAME == 'project'\n" for room in ROOMS)
    (tmp_path / "project" / "workload.py").write_text(uses + WORKLOAD)
    (tmp_path / "project" / "experiment.toml").write_text(EXPERIMENT)
    return tmp_path


def run(installed, project, *words):
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    command = [
        str(installed / "python"),
        str(installed / "palettune"),
        *words,
        str(project / "project" / "experiment.toml"),
    ]
    return subprocess.run(
        command, cwd=project / "elsewhere", env=environment, capture_output=True, text=True, timeout=500
    )


def test_the_wheel_holds_the_package_alone(installed):
    (site,) = installed.parent.glob("lib/python*/site-packages")
    assert {path.name for path in site.iterdir() if path.is_dir() and "dist-info" not in path.name} == {"palettune"}
    found = list((site / "palettune").rglob("*.py"))
    assert len(found) > 200
    assert not any(path.is_symlink() for path in (site / "palettune").iterdir())
    parts = Path("search", "review", "page")
    assert {p.relative_to(ROOT / parts) for p in (ROOT / parts).rglob("*") if p.is_file()} == {
        p.relative_to(site / "palettune" / parts) for p in (site / "palettune" / parts).rglob("*") if p.is_file()
    }
    assert (site / "palettune" / "py.typed").exists()


@pytest.mark.slow
def test_inspect_runs_from_the_wheel(installed, project):
    done = run(installed, project, "inspect")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reachable" in done.stdout


@pytest.mark.slow
@pytest.mark.ray
def test_a_search_on_ray_runs_beside_packages_of_the_same_names(installed, project):
    done = run(installed, project, "search", "--root", str(project / "runs"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "front of" in done.stdout


@pytest.mark.slow
def test_a_contract_suite_runs_from_the_wheel(installed, project):
    (project / "test_mine.py").write_text(
        "import pytest\n"
        "from palettune.evaluators.sensitivity.weight_error import WeightErrorScore\n"
        "from palettune.testing.sensitivity_contract import SensitivityContract\n"
        "class TestMine(SensitivityContract):\n"
        "    @pytest.fixture\n"
        "    def score_class(self):\n"
        "        return WeightErrorScore\n"
        "class TestForgotten(SensitivityContract):\n"
        "    pass\n"
    )
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    (project / "pytest.ini").write_text("[pytest]\n")  # or else that of a folder above would count
    command = [str(installed / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=500)
    assert "6 passed, 2 skipped, 8 errors" in done.stdout, done.stdout + done.stderr
    assert "override the fixture `score_class`" in done.stdout
