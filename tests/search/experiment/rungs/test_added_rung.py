"""A workflow is added by a file and a line: tried on a copy of the sources, from the search to the package's name."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.search.conftest import EXPERIMENT
from tests.search.review.page_reader import data_of

ROOT = Path(__file__).parents[4]
ROOMS = ("space", "device_bench", "evaluators", "search", "palettune")
RUNG = '''
"""The rung of a second look: the same weights, measured again."""

from palettune.evaluators.data_free.evaluator import DataFreeEvaluator
from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.rungs.rung import Rung


class SecondLookEvaluator(DataFreeEvaluator):
    name = "second_look"
    workflow = Workflow("second_look")


class SecondLook(Rung):
    """A second look at a configuration.

    Attributes:
        glasses: how many are worn.
    """

    name = "second_look"
    workflow = Workflow("second_look")
    words = "looked at twice"
    glasses: int = 1

    def evaluator(self, setting):
        return SecondLookEvaluator(setting)

    def missing(self, workload):
        return None
'''
IMPORT = "from palettune.search.experiment.rungs.rung import Rung\n"
LINE = "    fine_tuning: FineTuning = FineTuning()\n"


@pytest.fixture
def checkout(tmp_path):
    """The sources of the rooms, with the file and the line."""
    folder = tmp_path / "checkout"
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    rungs = folder / "search" / "experiment" / "rungs"
    (rungs / "second_look.py").write_text(RUNG)
    registry = (rungs / "registry.py").read_text()
    assert (registry.count(IMPORT), registry.count(LINE)) == (1, 1)
    added = "from palettune.search.experiment.rungs.second_look import SecondLook\n"
    registry = registry.replace(IMPORT, IMPORT + added).replace(
        LINE, f"{LINE}    second_look: SecondLook = SecondLook()\n"
    )
    (rungs / "registry.py").write_text(registry)
    return folder


@pytest.mark.slow
def test_a_workflow_is_a_file_and_a_line(checkout, project):
    project.write(
        EXPERIMENT.replace("trials = 14", "trials = 8") + "\n[escalation]\nsecond_look = { count = 2, glasses = 3 }\n"
    )

    def run(*words):
        environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        command = project.command(*words, "--root", str(project.root))
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, cwd=project.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    experiment = str(project.experiment)
    run("search", experiment, "--inline")
    rows = data_of((project.root / "tiny" / "review.html").read_text())["trials"]
    trials = [row["trial"] for row in rows if (row["rung"], row["found"]) == ("second_look", "looked at twice")]
    assert len(trials) == 2
    run("export", experiment, "--pick", str(trials[0]), "--out", str(project.folder / "exported"))
    (package,) = (project.folder / "exported").glob("*.mlpackage")
    assert f"_looked_at_twice_tiny_trial{trials[0]}" in package.name
