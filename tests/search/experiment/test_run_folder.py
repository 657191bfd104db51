"""What a run folder remembers, and mends."""

import json
from pathlib import Path

import optuna
import pytest

from palettune.search.experiment.run_folder import RunFolder, without_secrets
from palettune.search.study.study import open_storage


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path, "one")
    folder.create()
    return folder


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://host:5000", "http://host:5000"),
        ("https://me:secret@host/mlflow", "https://host/mlflow"),
        ("postgresql://me:secret@host:5432/db?password=secret", "postgresql://host:5432/db"),
        ("http://host?token=secret", "http://host"),
        ("sqlite:////home/a@b/x.db", "sqlite:////home/a@b/x.db"),
        ("databricks", "databricks"),
        ("/a/b", "/a/b"),
    ],
)
def test_a_tracking_uri_is_remembered_without_its_secrets(folder, given, kept):
    assert folder.remembered_tracking_uri is None
    assert without_secrets(given) == kept
    folder.remember_tracking_uri(given)
    assert folder.remembered_tracking_uri == kept
    assert "secret" not in (folder.path / "tracking.json").read_text()
    folder.remember_tracking_uri(None)
    assert folder.remembered_tracking_uri is None


@pytest.mark.parametrize("text", ["", "[]", "{}", "no json", json.dumps({"tracking_uri": None})])
def test_a_note_that_cannot_be_read_is_as_good_as_none(folder, text):
    (folder.path / "tracking.json").write_text(text)
    assert folder.remembered_tracking_uri is None


@pytest.mark.parametrize("half", [b'{"op_code": 4, "tri', b""])
def test_a_line_written_by_half_is_cut_off_before_the_journal_is_gone_on_with(folder, half):
    assert folder.mend_journal() is False
    study = optuna.create_study(study_name="one", storage=open_storage(folder, None))
    study.enqueue_trial({"x": 1})
    whole = folder.journal.read_bytes()
    folder.journal.write_bytes(whole + half)
    assert folder.mend_journal() == bool(half)
    assert folder.journal.read_bytes() == whole
    study = optuna.load_study(study_name="one", storage=open_storage(folder, None))
    study.enqueue_trial({"x": 2})
    again = optuna.load_study(study_name="one", storage=open_storage(folder, None))
    assert len(again.get_trials()) == 2


def test_a_command_is_told_where_a_run_is_without_secrets(tmp_path):
    assert RunFolder(Path("runs"), "x").options(None) == ""
    found = RunFolder(Path("my runs"), "x").options("postgresql://me:secret@host/name")
    assert found == "--root 'my runs' --storage postgresql://host/name"


def test_a_database_is_put_aside_with_what_lies_beside_it(tmp_path):
    folder = RunFolder(tmp_path, "some")
    folder.create()
    for name in ("mlflow.db", "mlflow.db-journal", "mlflow.db-wal", "mlflow-1.db", "tracking.json"):
        (folder.path / name).write_text(name)
    assert folder.set_record_aside() == folder.path / "mlflow-2.db"
    left = {path.name: path.read_text() for path in folder.path.iterdir()}
    assert left == {
        "mlflow-2.db": "mlflow.db",
        "mlflow-2.db-journal": "mlflow.db-journal",
        "mlflow-2.db-wal": "mlflow.db-wal",
        "mlflow-1.db": "mlflow-1.db",
        "tracking.json": "tracking.json",
    }
