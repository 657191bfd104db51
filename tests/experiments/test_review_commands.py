"""The reading commands as the benchmark times them, on a finished search."""

import shutil
from pathlib import Path

import pytest

from experiments.benchmarks.review import commands

FROZEN = Path(__file__).parents[1] / "frozen" / "tiny"
FIGURES = ("review", "front", "list", "explain", "solve", "ui", "ui_mb", "page_kb")


@pytest.mark.slow
def test_every_command_is_run_and_the_memory_of_its_processes_taken(tmp_path, monkeypatch):
    for name in ("experiment.toml", "workload.py"):
        shutil.copy(FROZEN / name, tmp_path)
    shutil.copytree(FROZEN / "run_folders", tmp_path / "runs")
    (tmp_path / "runs" / "tiny" / "mlflow.db").touch()  # MLflow makes its tables
    monkeypatch.setattr(commands, "TIMES", 1)
    found = commands.measured_commands(tmp_path / "experiment.toml", tmp_path / "runs", tmp_path / "page.html")
    assert set(found) == set(FIGURES)
    assert all(found[name] > 0 for name in FIGURES)
    assert found["ui_mb"] > 30  # a process of Python with MLflow


def test_figures_are_rows_of_a_table():
    table = commands.command_table(dict.fromkeys(FIGURES, 1.234)).splitlines()
    assert table[2] == "| `palettune review` | 1.23 s |"
    assert table[-1] == "| `palettune ui`, until it answers | 1.23 s, 1 MB |"
    assert len(table) == 8
