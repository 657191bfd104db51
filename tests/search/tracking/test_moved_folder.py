"""A run folder that was moved: its artifacts are found by every way in."""

import json
import shutil
import sqlite3
import threading
import urllib.request
from pathlib import Path

import pytest
from mlflow import MlflowClient

from palettune.search.experiment.run_folder import RunFolder
from palettune.search.tracking.moved_folder import follow_moved_folder
from palettune.search.tracking.packages import log_packages
from palettune.search.tracking.tracking import Tracker
from palettune.search.tracking.tracking_store import reach_store
from tests.search.tracking.made_up_exports import exported
from tests.search.tracking.test_tracking import log


@pytest.fixture
def moved(tmp_path, empty_store):
    """A search with an exported and registered package, in another place than it was made; the old one is gone."""
    folder = RunFolder(tmp_path / "old's place", "x")
    folder.create()
    shutil.copy(empty_store, folder.record)
    tracker = Tracker(folder, None, "search")
    log(tracker, range(2))
    tracker.texts({"review.html": "<html></html>"})
    tracker.finish("FINISHED", "done")
    log_packages(folder, None, "search", *exported(tmp_path / "out", 1), register="lite")
    shutil.move(folder.root, tmp_path / "new")
    return RunFolder(tmp_path / "new", "x")


def read(client, folder):
    """Everything that lies in the artifacts, by what it is of."""
    experiment = client.get_experiment_by_name("x").experiment_id
    found = {}
    for run in client.search_runs([experiment]):
        for item in client.list_artifacts(run.info.run_id):
            if not item.is_dir:
                found[item.path] = Path(client.download_artifacts(run.info.run_id, item.path)).read_text()
    (model,) = client.search_logged_models([experiment])
    found["model"] = sorted(item.path for item in client.list_logged_model_artifacts(model.model_id))
    found["version"] = client.get_model_version_download_uri("lite", "1")
    return found


def test_artifacts_models_and_versions_are_found_where_the_folder_is_now(moved):
    reach_store(moved, None, read=True)
    client = MlflowClient(moved.tracking_uri)
    found = read(client, moved)
    assert found["review.html"] == "<html></html>"
    assert json.loads(found["configuration.json"])["encodings"] == {"head": "lut4"}
    assert "proof.json" in found["model"]
    assert found["version"].startswith(moved.artifacts.resolve().as_uri())
    assert not follow_moved_folder(moved)


@pytest.mark.slow
def test_they_are_read_through_the_server_that_shows_them(moved):
    from palettune.search.tracking.mlflow_server import bound_socket

    follow_moved_folder(moved)
    import subprocess
    import sys

    listening = bound_socket("127.0.0.1", 5600)
    port = listening.getsockname()[1]
    listening.close()
    words = ["-m", "mlflow", "server", "--backend-store-uri", moved.tracking_uri, "--port", str(port), "--workers", "1"]
    process = subprocess.Popen([sys.executable, *words], start_new_session=True, cwd=moved.root)
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except OSError:
                threading.Event().wait(0.2)
        assert read(MlflowClient(f"http://127.0.0.1:{port}"), moved)["review.html"] == "<html></html>"
    finally:
        import os
        import signal

        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def test_a_store_of_another_place_or_of_nothing_is_left_as_it_is(tmp_path):
    folder = RunFolder(tmp_path, "x")
    folder.create()
    assert not follow_moved_folder(folder)
    folder.record.write_text("no database at all " * 60)
    assert not follow_moved_folder(folder)
    folder.record.unlink()
    database = sqlite3.connect(folder.record)
    database.execute("CREATE TABLE experiments (name TEXT, artifact_location TEXT)")
    database.execute("INSERT INTO experiments VALUES ('x', 's3://bucket/x'), ('other', 'file:///elsewhere')")
    database.commit()
    database.close()
    assert not follow_moved_folder(folder)
