"""Where a search is found in MLflow, and that it is shown there: by one process, on a port that is free."""

import os
import re
import signal
import socket
import subprocess
import urllib.request

import pytest

from palettune.search.api.mlflow_ui import lines_after_a_search, mlflow_ui
from palettune.search.experiment.experiment import load_experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.tracking.tracking import Tracker
from palettune.space.errors import UserError
from tests.search.tracking.test_tracking import log


@pytest.fixture
def folder(project):
    folder = RunFolder(project.root, "tiny")
    folder.create()
    return folder


def ui(project):
    return mlflow_ui(load_experiment(project.experiment), project.root)


def test_the_run_folder_s_own_store_is_shown(project, folder):
    folder.record.touch()
    found = ui(project)
    assert (found.store, found.is_own, found.is_served) == (folder.tracking_uri, True, False)


def test_a_server_of_the_user_s_own_is_only_named(project, folder):
    folder.remember_tracking_uri("http://host:5000")
    found = ui(project)
    assert (found.store, found.is_served, found.is_own) == ("http://host:5000", True, False)


def test_another_store_of_the_search_is_shown(project, folder):
    folder.remember_tracking_uri("sqlite:////elsewhere/x.db")
    assert (ui(project).store, ui(project).is_own) == ("sqlite:////elsewhere/x.db", False)


def test_a_folder_without_a_store_is_said(project, folder):
    with pytest.raises(UserError, match="no MLflow store there; run `palettune search"):
        ui(project)


def test_after_a_search_the_command_is_named_or_the_pages_of_the_server(server, folder):
    command = "palettune ui x.toml"
    assert lines_after_a_search(folder, "search", None, command) == [f"all runs and the front in MLflow: {command}"]
    tracked = RunFolder(folder.root, "only_this_test")  # the server is one for all tests
    Tracker(tracked, server.uri, "search").finish("FINISHED", "done")
    runs, search = lines_after_a_search(tracked, "search", server.uri, command)
    assert re.fullmatch(rf"all runs: {server.uri}/#/experiments/\d+/runs\?workflowType=machine_learning", runs)
    assert re.fullmatch(rf"the search: {server.uri}/#/experiments/\d+/runs/\w+\?workflowType=machine_learning", search)


@pytest.mark.slow
def test_it_says_where_to_look_when_it_answers_from_one_process_on_the_next_free_port(project, folder):
    tracker = Tracker(folder, None, "search")
    log(tracker, range(2))
    tracker.texts({"review.html": "<html></html>"})
    tracker.finish("FINISHED", "done")
    (folder.path / "review.html").write_text("<html></html>")
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        words = project.command("ui", str(project.experiment), "--root", str(project.root), "--port", str(port))
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "200"})
        try:
            said = [process.stdout.readline() for _ in range(6)]
            assert re.match(rf"port {port} is busy: starting MLflow on port \d+ ...", said[0])
            assert said[1] == f"review: {(folder.path / 'review.html').resolve().as_uri()}\n"
            assert "workflowType=machine_learning" in said[2]
            assert re.fullmatch(
                r"its review page: http://\S+/artifacts/review\.html\?workflowType=machine_learning\n", said[4]
            )
            assert said[5] == "Ctrl-C ends it\n"
            base = said[2].split(": ", 1)[1].split("/#/")[0]
            with urllib.request.urlopen(f"{base}/health", timeout=5) as answer:  # it answers when it says so
                assert answer.status == 200
            children = subprocess.run(
                ["ps", "--ppid", str(process.pid), "-o", "pid="], capture_output=True, check=False
            )
            assert children.stdout.split() == []
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_an_address_of_another_machine_is_refused(project, folder):
    folder.record.touch()
    ended = project.run("ui", "--host", "203.0.113.7")
    assert ended.returncode == 2
    assert "--host 203.0.113.7: Cannot assign requested address; expected an address of this machine" in ended.stderr
