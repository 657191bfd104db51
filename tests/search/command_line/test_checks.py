"""What a command is given is checked before seconds are spent on imports."""

import json
import subprocess
import sys

import pytest

from palettune.evaluators.workload.workload_object import WorkloadError
from palettune.search.command_line.checks import checked_experiment
from palettune.search.experiment.experiment import ExperimentError


def test_an_experiment_is_read_and_its_workload_file_looked_for(project):
    assert checked_experiment(project.experiment).name == "tiny"
    (project.folder / "workload.py").unlink()
    with pytest.raises(WorkloadError, match="no such workload file"):
        checked_experiment(project.experiment)
    with pytest.raises(ExperimentError, match="no such experiment file"):
        checked_experiment(project.folder / "other.toml")


SCRIPT = """
import json, sys
from palettune.search.command_line.cli import main
found = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["palettune", *words]
    try:
        main()
    except SystemExit as ending:
        found.append(ending.code)
print(json.dumps([found, [name for name in ("torch", "coremltools", "ray", "mlflow") if name in sys.modules]]))
"""


def test_wrong_paths_are_said_before_anything_large_is_imported(project):
    toml, nothing = str(project.experiment), str(project.folder / "nothing")
    commands = [
        [command, f"{nothing}.toml", *more]
        for command, more in (
            ("inspect", []),
            ("search", []),
            ("front", []),
            ("explain", ["3"]),
            ("solve", []),
            ("export", ["--out", nothing]),
        )
    ]
    commands += [
        ["apply", f"{nothing}.json", toml],
        ["verify", f"{nothing}.mlpackage", "--against", toml],
        ["verify", str(project.folder), "--against", f"{nothing}.toml"],
        ["bench", f"{nothing}.mlpackage", "--device", "iPhone 15 Pro"],
        ["list", "--root", nothing],
        ["front", toml, "--root", nothing],
    ]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)], capture_output=True, text=True, timeout=300, check=True
    )
    codes, loaded = json.loads(done.stdout)
    assert codes == [2] * len(commands), done.stderr
    assert loaded == []
    assert done.stderr.count("nothing") == len(commands)
