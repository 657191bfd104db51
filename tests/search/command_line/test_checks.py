"""What a command is given is checked before seconds are spent on imports."""

import json
import subprocess
import sys

import pytest

from palettune.evaluators.workload.workload_object import WorkloadError
from palettune.search.command_line.checks import check_export_options, checked_experiment, checked_recipes
from palettune.search.experiment.experiment import ExperimentError
from palettune.search.experiment.recipes.recipe_rules import RecipeError
from palettune.space.errors import UserError
from tests.search.conftest import EXPERIMENT


def test_an_experiment_is_read_and_its_workload_file_looked_for(project):
    assert checked_experiment(project.experiment).name == "tiny"
    (project.folder / "workload.py").unlink()
    with pytest.raises(WorkloadError, match="no such workload file"):
        checked_experiment(project.experiment)
    with pytest.raises(ExperimentError, match="no such experiment file"):
        checked_experiment(project.folder / "other.toml")


def test_every_recipe_is_read(project):
    experiment, recipe = checked_experiment(project.experiment), project.folder / "ours.yaml"
    recipe.write_text("'*': lut4\n")
    assert checked_recipes(experiment, [recipe]) == [recipe]
    assert checked_recipes(experiment, None) == []
    recipe.write_text("'*': lut99\n")
    with pytest.raises(RecipeError, match=r"ours\.yaml: \*.*lut99"):
        checked_recipes(experiment, [recipe])


def test_options_of_an_export_that_would_not_be_heard_are_refused():
    check_export_options({"--solve": True, "--max-size-mb": 2.0, "--fix": ["head=lut8"], "--pick": None})
    check_export_options(
        {"--configuration": "mine.json", "--calibrate": True, "--pick": ["knee"], "--max-size-mb": None}
    )
    check_export_options({"--pick": ["all"], "--max-size-mb": 2.0, "--max-divergence": 0.1})
    for given, said in (
        ({"--fix": ["head=lut8"], "--max-size-mb": 2.0}, "--fix without --solve: it restricts what is solved"),
        ({"--forbid": ["lut2"], "--configuration": "mine.json"}, "--forbid without --solve"),
        ({"--calibrate": True, "--pick": ["knee"]}, "--calibrate without --solve or --configuration: say of what"),
        ({"--solve": True, "--configuration": "mine.json"}, "--solve and --configuration: say one of them"),
        (
            {"--solve": True, "--max-size-mb": 2.0, "--pick": ["knee"]},
            "--solve and --pick: .*by a command of their own",
        ),
        ({"--solve": True, "--max-divergence": 0.1}, "--solve and --max-divergence: .*leave --max-divergence out"),
        ({"--configuration": "mine.json", "--max-size-mb": 0.0}, "leave --max-size-mb out"),
        ({"--configuration": "mine.json", "--max-latency-ms": 1.0}, "leave --max-latency-ms out"),
        ({"--configuration": "mine.json", "--max-divergence": 1.0}, "leave --max-divergence out"),
    ):
        with pytest.raises(UserError, match=said):
            check_export_options(given)


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
    compared = project.folder / "compared.toml"
    compared.write_text(EXPERIMENT + '\n[compare]\nrecipes = ["nothing.yaml"]\n')
    commands += [
        ["search", toml, "--also", f"{nothing}.yaml"],
        ["search", str(compared)],
        ["export", toml, "--out", "out", "--configuration", f"{nothing}.json"],
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
