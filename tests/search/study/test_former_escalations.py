"""A run folder of the former format, in which escalations were no trials: shown, solved, exported from and gone on with.

The folder under ``tests/frozen/tiny`` was written by the sources of that time, but for the workload's path in it. Nothing there
may be changed or formatted: a search is of its workload's text.
"""

import json
import shutil
import sys
from pathlib import Path

import pytest

from palettune.search.command_line.cli import main
from palettune.search.experiment.experiment import load_experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.experiment.versions import tool_versions
from palettune.search.study.study import SearchStudy, open_storage

FROZEN = Path(__file__).parents[2] / "frozen" / "tiny"
CALIBRATED, TUNED = 100_000, 100_001


@pytest.fixture
def folder(tmp_path):
    """A copy, as of a machine with this one's versions of tools."""
    for name in ("experiment.toml", "workload.py"):
        shutil.copy(FROZEN / name, tmp_path / name)
    shutil.copytree(FROZEN / "run_folders", tmp_path / "runs")
    change(tmp_path, lambda attributes: with_versions(attributes))
    return tmp_path


def with_versions(attributes):
    if "palettune_identity" in attributes:
        attributes["palettune_identity"]["versions"] = tool_versions()
    return attributes


def change(folder, changed):
    """Change user attributes in a journal; ``changed`` gives them, or ``None`` to leave the line out."""
    journal = folder / "runs" / "tiny" / "journal.log"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    kept = []
    for line in lines:
        if "user_attr" in line:
            line["user_attr"] = changed(line["user_attr"])
        if line.get("user_attr", {}) is not None:
            kept.append(json.dumps(line))
    journal.write_text("\n".join(kept) + "\n")


def command(monkeypatch, capsys, folder, word, *more):
    words = ["palettune", word, str(folder / "experiment.toml"), "--root", str(folder / "runs"), *map(str, more)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ending:
        main()
    captured = capsys.readouterr()
    assert ending.value.code == 0, captured.err
    return captured


def study_of(folder):
    experiment = load_experiment(folder / "experiment.toml")
    return SearchStudy.load(open_storage(RunFolder(folder / "runs", "tiny"), None), experiment)


def asked_for(folder, text, instead):
    file = folder / "experiment.toml"
    assert text in file.read_text()
    file.write_text(file.read_text().replace(text, instead))


def test_its_front_is_shown_and_its_old_keys_are_said(monkeypatch, capsys, folder):
    shown = command(monkeypatch, capsys, folder, "front", "--json")
    members = {member["trial"]: member for member in json.loads(shown.out)}
    assert sorted(members) == [0, 3, 4, 5, 6, 8, 9, CALIBRATED]
    assert members[CALIBRATED]["workflow"] == "calibration"
    assert members[CALIBRATED]["escalated_from"] == 2
    assert members[CALIBRATED]["divergence"] == pytest.approx(1.4619428319355517e-07)
    assert "note: ladder is now called escalation" in shown.err


def test_it_is_solved_from_its_scores(monkeypatch, capsys, folder):
    found = json.loads(command(monkeypatch, capsys, folder, "solve", "--max-size-mb", "0.03", "--json").out)
    assert found["size_mb"] <= 0.03


@pytest.mark.slow
def test_its_states_are_exported_proven(monkeypatch, capsys, folder, tmp_path):
    out = tmp_path / "out"
    command(monkeypatch, capsys, folder, "export", "--out", out, "--pick", CALIBRATED)
    (entry,) = json.loads((out / "manifest.json").read_text())
    assert entry["trial"] == CALIBRATED
    assert entry["proof"]["passed"]


@pytest.mark.slow
def test_the_search_goes_on_from_it_with_escalations_as_trials_and_settings_kept_from_now_on(
    monkeypatch, capsys, folder
):
    before = [(r.trial, r.configuration.hash, r.values) for r in study_of(folder).evaluations()]
    asked_for(folder, "trials = 10", "trials = 12")
    asked_for(folder, "\ncalibration = 1", "\ncalibration = 2")
    command(monkeypatch, capsys, folder, "search", "--inline")
    records = study_of(folder).evaluations()
    assert [(r.trial, r.configuration.hash, r.values) for r in records][: len(before)] == before
    new = [record for record in records if record.trial not in {trial for trial, _, _ in before}]
    assert sorted(record.trial for record in new) == [10, 11, 12]
    (escalated,) = [record for record in new if record.escalated_from is not None]
    assert escalated.rung == "calibration"
    asked_for(folder, "\nsteps = 20", "\nsteps = 10")
    study = study_of(folder)
    left = [record.trial for record in study.evaluations()]
    assert TUNED not in left
    assert CALIBRATED in left
    assert any("steps was 20, is 10" in note for note in study.notes)


@pytest.mark.slow
def test_what_was_under_way_in_it_is_decided_again_as_a_trial(monkeypatch, capsys, folder):
    (tuned,) = [record for record in study_of(folder).evaluations() if record.trial == TUNED]
    change(folder, lambda attributes: without_result(attributes))
    command(monkeypatch, capsys, folder, "search", "--inline")
    (again,) = [record for record in study_of(folder).evaluations() if record.rung == "fine_tuning"]
    assert again.trial == 10
    assert (again.escalated_from, again.configuration) == (tuned.escalated_from, tuned.configuration)
    assert again.evaluation.by_sample == pytest.approx(tuned.evaluation.by_sample, rel=1e-4)


def without_result(attributes):
    return None if "evaluation" in attributes.get("climb:1", {}) else attributes
