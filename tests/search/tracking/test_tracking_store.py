"""The store behind the tracking: reached within seconds, or refused in words without its secrets."""

import contextlib
import socket
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from palettune.search.experiment.run_folder import RunFolder
from palettune.search.tracking import tracking_store
from palettune.search.tracking.tracking_store import TrackingError, absolute, reach_store, words


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "runs", "one")
    folder.create()
    return folder


class Page(BaseHTTPRequestHandler):
    """A server that is no MLflow server."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "13")
        self.end_headers()
        self.wfile.write(b"<html></html>")

    do_GET = do_POST

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def page():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (200, "valid JSON"),
        (401, "MLFLOW_TRACKING_USERNAME"),
        (403, "MLFLOW_TRACKING_TOKEN"),
        (404, "404"),
        (503, "503"),
    ],
)
def test_a_server_that_does_not_serve_is_refused(page, folder, status, words):
    page.status = status
    with pytest.raises(TrackingError) as refused:
        reach_store(folder, f"http://me:secret@127.0.0.1:{page.server_port}")
    message = str(refused.value)
    assert message.startswith(f"--tracking-uri: http://127.0.0.1:{page.server_port} cannot be used: ")
    assert words in message
    assert "secret" not in message
    assert "without --tracking-uri the record is kept in the run folder" in message


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("http://me:secret@127.0.0.1:9", "http://127.0.0.1:9 cannot be used: .*Connection refused"),
        ("http://me:secret@no-such-host.invalid:5000", "no-such-host.invalid"),
        ("http://host:port", "cannot be used"),
        ("foo://bar", "foo://bar cannot be used"),
        ("localhost:5000", r"no scheme \(http://localhost:5000\?\)"),
        ("postgresql://me:secret@127.0.0.1:9/db", "postgresql://127.0.0.1:9/db cannot be used"),
        ("sqlite:///{folder}/none/x.db", "none: no such folder"),
        ("sqlite:///{folder}/text.db", "file is not a database"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite://", "names no file"),
    ],
)
def test_a_store_that_is_not_there_is_refused_within_seconds(folder, uri, words):
    (folder.path / "text.db").write_text("no database at all " * 60)
    before = sorted(folder.root.rglob("*"))
    with pytest.raises(TrackingError, match=words) as refused:
        reach_store(folder, uri.format(folder=folder.path))
    assert "--tracking-uri: " in str(refused.value)
    assert "secret" not in str(refused.value)
    assert sorted(folder.root.rglob("*")) == before


def test_a_server_that_does_not_answer_is_refused(folder, monkeypatch):
    monkeypatch.setattr(tracking_store, "REACH_SECONDS", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(TrackingError, match="no answer within"):
            reach_store(folder, f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_what_answers_or_is_still_to_be_made_is_reached(server, folder):
    reach_store(folder, server.uri)
    reach_store(folder, None)
    reach_store(folder, f"sqlite:///{folder.path / 'new.db'}")
    assert not list(folder.path.iterdir())  # made by the search, not by asking


def test_a_damaged_store_of_the_run_folder_is_put_aside_by_a_search_and_refused_by_what_reads(folder):
    damaged = "no database at all " * 60
    folder.record.write_text(damaged)
    with pytest.raises(TrackingError, match=r"not a database.*writes .*mlflow\.db anew"):
        reach_store(folder, None, read=True)
    assert folder.record.read_text() == damaged
    said = []
    reach_store(folder, None, said.append)
    assert len(said) == 1
    assert "put aside as mlflow-1.db" in said[0]
    assert (folder.path / "mlflow-1.db").read_text() == damaged
    assert not folder.record.exists()


def test_a_store_whose_making_was_killed_is_written_anew(folder):
    with contextlib.closing(sqlite3.connect(folder.record)) as database:  # the first tables, and half of a change
        database.execute("CREATE TABLE _alembic_tmp_runs (run_uuid VARCHAR(32))")
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        database.execute("CREATE TABLE experiments (experiment_id INTEGER)")
        database.commit()
    said = []
    reach_store(folder, None, said.append)
    assert "put aside" in said[0]
    reach_store(folder, None, said.append)
    assert len(said) == 1


def test_a_relative_uri_is_remembered_by_its_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("sqlite:///x.db") == f"sqlite:///{tmp_path / 'x.db'}"
    assert absolute(f"sqlite:///{tmp_path / 'x.db'}") == f"sqlite:///{tmp_path / 'x.db'}"
    assert absolute("mlruns") == str(tmp_path / "mlruns")
    for uri in ("http://host:5000", "databricks", "databricks://profile", "postgresql://host/db"):
        assert absolute(uri) == uri


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("no http://me:secret@host:5000/ \n there"), "no http://host:5000/ there"),
        (OSError(), "OSError"),
        (OSError("x" * 500), "x" * 400 + " ..."),
        (OSError("API request failed with error code 403 != 200"), "MLFLOW_TRACKING_TOKEN"),
    ],
)
def test_an_error_is_one_line_without_secrets(error, said):
    found = words(error, "http://me:secret@host:5000")
    assert said in found
    assert "secret" not in found
    assert "\n" not in found
