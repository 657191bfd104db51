"""The notebook, executed as Jupyter does it; and the same experiment on the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import palettune as pt

pytestmark = pytest.mark.slow

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
ROOT = EXPERIMENTS.parent

EXPERIMENT = """
name = "tour"
workload = "fashion_mnist/workload.py"

[objectives]
quality = {metric = "top1", direction = "maximize"}

[space]
encodings = ["fp16", "lut6", "lut4", "lut3", "lut2", "int8"]

[search]
solved_trials = 6
score_samples = 32
confirm = 3

[budget]
trials = 16
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder like ``experiments``, in which the notebook has been executed."""
    folder = tmp_path_factory.mktemp("tour")
    (folder / "fashion_mnist").symlink_to(EXPERIMENTS / "fashion_mnist")
    (folder / "experiment.toml").write_text(EXPERIMENT)
    notebook = nbformat.read(EXPERIMENTS / "tour.ipynb", as_version=4)
    environment = os.environ | {"PYTHONPATH": f"{ROOT}", "OMP_NUM_THREADS": "1", "JUPYTER_PLATFORM_DIRS": "1"}
    client = NotebookClient(notebook, timeout=500, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute(env=environment)
    nbformat.write(notebook, folder / "executed.ipynb")
    return folder


def outputs(folder, kind):
    cells = nbformat.read(folder / "executed.ipynb", as_version=4).cells
    found = [output for cell in cells for output in cell.get("outputs", [])]
    return [output.data[kind] for output in found if kind in output.get("data", {})]


def front(folder, root):
    words = ["front", str(folder / "experiment.toml"), "--root", str(root), "--json"]
    return json.loads(command(folder, *words).stdout)


def command(folder, *words):
    code = "from palettune.search.command_line.cli import main; main()"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_the_notebook_is_kept_without_outputs():
    cells = nbformat.read(EXPERIMENTS / "tour.ipynb", as_version=4).cells
    assert not any(cell.get("outputs") for cell in cells)


def test_the_notebook_shows_a_live_front_and_its_results(folder):
    pages = "\n".join(outputs(folder, "text/html"))
    assert "data:image/png;base64" in pages
    assert "16 of 16 trials" in pages
    for said in (
        "on the front",
        "TrialComparison",
        "ExportResult(1 packages, 1 proven",
        "Verification(passed",
        "iPhone 15 Pro",
    ):
        assert said in pages + "\n".join(outputs(folder, "text/plain")), said


def test_the_command_line_finds_the_same_front(folder):
    command(folder, "search", "experiment.toml", "--root", "other", "--inline")
    there, here = front(folder, "other"), front(folder, "runs")
    assert [member["configuration"] for member in there] == [member["configuration"] for member in here]
    assert [member["trial"] for member in there] == [member["trial"] for member in here]
    for one, two in zip(there, here, strict=True):
        assert one["divergence"] == pytest.approx(two["divergence"], rel=1e-4)


def test_the_packages_are_the_same_as_the_command_lines(folder):
    command(folder, "export", "experiment.toml", "--root", "runs", "--out", "again")
    (here,), (again,) = (json.loads((folder / out / "manifest.json").read_text()) for out in ("exported", "again"))
    assert here["proof"]["passed"]
    for key in ("path", "trial", "configuration", "weight_bytes", "divergence"):
        assert here[key] == again[key]


def test_the_run_opens_here(folder):
    run = pt.open_run(folder / "experiment.toml", root=folder / "runs")
    assert run.front.knee() in run.trials
