"""What reading commands load: neither torch nor coremltools nor anything else that takes seconds."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FROZEN = Path(__file__).resolve().parents[2] / "frozen" / "tiny"
HEAVY = ["torch", "coremltools", "mlflow", "ray", "pandas", "matplotlib", "plotly", "sklearn", "IPython", "sqlalchemy"]
#: The solver of ``solve`` is scipy's.
SOLVER = ["scipy"]
SCRIPT = """
import contextlib, io, json, sys
from palettune.search.command_line.cli import main
loaded, codes = {}, {}
for words in json.loads(sys.argv[1]):
    sys.argv = ["palettune", *words]
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as ending:
            codes[" ".join(words)] = ending.code
    for name in json.loads(sys.stdin.readline()):
        if name in sys.modules:
            loaded.setdefault(name, " ".join(words))
json.dump([loaded, codes], sys.stdout)
"""


@pytest.fixture
def searched(tmp_path):
    """A finished search."""
    for name in ("experiment.toml", "workload.py"):
        shutil.copy(FROZEN / name, tmp_path)
    shutil.copytree(FROZEN / "run_folders", tmp_path / "runs")
    return tmp_path


def run(commands, unwanted):
    """What a process loads that runs commands one after another: by module, the first command after which it is there."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)],
        input="".join(f"{json.dumps(names)}\n" for names in unwanted),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded, codes = json.loads(done.stdout)
    assert set(codes.values()) == {0}, (codes, done.stderr)
    return loaded


def test_reading_commands_load_nothing_that_takes_seconds(searched):
    files = (str(searched / "experiment.toml"), "--root", str(searched / "runs"))
    commands = [
        (["--help"], HEAVY + SOLVER),
        (["search", "--help"], HEAVY + SOLVER),
        (["front", *files], HEAVY + SOLVER),
        (["front", *files, "--json"], HEAVY + SOLVER),
        (["front", *files, "--explain"], HEAVY + SOLVER),
        (["explain", *files, "3"], HEAVY + SOLVER),
        (["explain", *files, "knee"], HEAVY + SOLVER),
        (["explain", *files, "3", "--json"], HEAVY + SOLVER),
        (["front", *files, "--csv"], HEAVY + SOLVER),
        (["list", "--root", str(searched / "runs")], HEAVY + SOLVER),
        (["review", *files, "--no-open"], HEAVY + SOLVER),
        (["solve", *files, "--max-size-mb", "0.05"], HEAVY),
    ]
    assert run([words for words, _ in commands], [unwanted for _, unwanted in commands]) == {}
