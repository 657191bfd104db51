"""The record on a real MLflow server that dies, hangs, answers late and comes back."""

import http.client
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mlflow import MlflowClient

from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.study.record import Record
from palettune.search.tracking import tracking
from palettune.search.tracking.tracking import Tracker
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding

CONFIGURATION = Configuration({"head": Encoding.parse("lut4")})


@pytest.fixture
def folder(tmp_path, request):
    folder = RunFolder(tmp_path / "runs", request.node.name.replace("[", "-").replace("]", ""))
    folder.create()
    return folder


class Middle:
    """A proxy before a server, whose next answers to a kind of request are lost, or that is handed on late."""

    def __init__(self, server):
        self.lose: list[str] = []  # a path's end: the request is handed on, and its answer dropped
        self.hold: list[str] = []  # likewise, but the request itself is handed on after `let` only
        self.let = threading.Event()
        self.late: list[threading.Thread] = []
        self.broken = ""  # a part of paths that are answered by 500
        middle = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if middle.broken and middle.broken in self.path:
                    self.send_error(500)
                    return
                for queue, wait in ((middle.lose, False), (middle.hold, True)):
                    if queue and self.path.endswith(queue[0]):
                        queue.pop(0)
                        if wait:
                            middle.late.append(threading.Thread(target=lambda: middle.let.wait() and ask(body, self)))
                            middle.late[-1].start()
                        else:
                            ask(body, self)
                        self.close_connection = True
                        return
                answer, content = ask(body, self)
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.getheader("Content-Type", "application/json"))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = handle_any

            def log_message(self, *_):
                pass

        def ask(body, handler):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            headers = {k: v for k, v in handler.headers.items() if k.lower() != "host"}
            connection.request(handler.command, handler.path, body, headers)
            answer = connection.getresponse()
            return answer, answer.read()

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def arrive(self):
        """Hand on what was held back."""
        self.let.set()
        for thread in self.late:
            thread.join()

    def close(self):
        self.let.set()
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def middle(server):
    middle = Middle(server)
    yield middle
    middle.close()


def record(trial, answered_from=None):
    evaluation = Evaluation(CONFIGURATION.hash, Workflow.DATA_FREE, 0.5 + trial, (0.5,))
    return Record.of(
        evaluation, trial=trial, origin="guided", configuration=CONFIGURATION, workflow=Workflow.DATA_FREE,
        values=(0.5, 1.0), costs={"size_mb": 1.0}, feasible=True, answered_from=answered_from,
        span=(100.0 + trial, 101.0 + trial),
    )  # fmt: skip


def history(count):
    return [(record(trial), {"hypervolume": trial / 100}) for trial in range(count)]


def log(tracker, trials):
    for trial in trials:
        tracker.log(record(trial), {"hypervolume": trial / 100})


def stored(server, folder):
    """The parents and the children that a server shows."""
    client = MlflowClient(server.uri)
    experiment = client.get_experiment_by_name(folder.name)
    runs = client.search_runs([experiment.experiment_id], max_results=1000) if experiment else []
    parents = [run for run in runs if tracking.PARENT not in run.data.tags]
    return client, parents, [run for run in runs if tracking.PARENT in run.data.tags]


def assert_all_written(server, folder, count):
    """One finished run for each trial, its artifact with it, under one parent that has ended."""
    client, parents, children = stored(server, folder)
    assert [run.info.status for run in parents] == ["FINISHED"]
    assert {run.data.tags[tracking.PARENT] for run in children} == {parents[0].info.run_id}
    assert sorted(int(run.data.tags["trial"]) for run in children) == list(range(count))
    assert {run.info.status for run in children} == {"FINISHED"}
    for run in children:
        assert run.data.metrics["divergence"] == 0.5 + int(run.data.tags["trial"])
    some = {item.path for item in client.list_artifacts(children[-1].info.run_id)}
    assert some == {"configuration.json"}
    steps = [metric.step for metric in client.get_metric_history(parents[0].info.run_id, "hypervolume")]
    assert sorted(steps) == list(range(count))
    return client, parents[0]


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "never happened"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_server_that_comes_back_gets_everything_in_order(server, folder):
    said = []
    tracker = Tracker(folder, server.uri, "search", warn=said.append)
    log(tracker, range(3))
    wait_for(lambda: not tracker._queue.left)
    server.kill()
    log(tracker, range(3, 6))
    wait_for(lambda: said)
    assert f"MLflow: {server.uri} does not answer (" in said[0]
    server.start()
    tracker.texts({"front.txt": "table", "front.png": b"picture"})
    tracker.finish("FINISHED", "the budget of trials is spent")
    assert tracker.problems == ()
    assert "answers again" in said[1]
    client, parent = assert_all_written(server, folder, 6)
    assert {item.path for item in client.list_artifacts(parent.info.run_id)} == {"front.txt", "front.png"}


def test_a_server_that_hangs_is_not_waited_for_and_the_next_start_writes_what_is_missing(server, folder, monkeypatch):
    monkeypatch.setattr(tracking, "_PATIENCE", 1.0)
    tracker = Tracker(folder, server.uri, "search")
    log(tracker, range(2))
    wait_for(lambda: not tracker._queue.left)
    server.hang()
    try:
        log(tracker, range(2, 5))
        tracker.texts({"front.txt": "table"})
        tracker.finish("FINISHED", "the budget of trials is spent")
        (problem,) = tracker.problems
        assert "3 of 5 runs could not be written to" in problem
        assert "the next `palettune search` with this --tracking-uri writes what is missing" in problem
    finally:
        server.go_on()
    monkeypatch.undo()
    tracker = Tracker(folder, server.uri, "search")
    tracker.rebuild(history(5))
    tracker.texts({"front.txt": "table"})
    tracker.finish("FINISHED", "the budget of trials is spent")
    assert tracker.problems == ()
    client, parent = assert_all_written(server, folder, 5)
    assert [item.path for item in client.list_artifacts(parent.info.run_id)] == ["front.txt"]


@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True])
def test_a_run_whose_creation_was_not_answered_is_not_created_twice(server, middle, folder, late):
    tracker = Tracker(folder, middle.uri, "search")
    log(tracker, range(1))
    wait_for(lambda: not tracker._queue.left)
    (middle.hold if late else middle.lose).append("runs/create")
    log(tracker, range(1, 3))
    wait_for(lambda: not tracker._queue.left)
    middle.arrive()  # late: the first request is carried out after the second one
    tracker.finish("FINISHED", "the budget of trials is spent")
    assert tracker.problems == ()
    assert not middle.lose
    assert not middle.hold
    assert_all_written(server, folder, 3)


@pytest.mark.slow
def test_a_search_whose_own_run_was_created_twice_keeps_the_one_with_its_trials(server, middle, folder):
    middle.hold.append("runs/create")
    tracker = Tracker(folder, middle.uri, "search")
    log(tracker, range(2))
    wait_for(lambda: not tracker._queue.left)
    middle.arrive()
    tracker.finish("KILLED", "stopped")
    assert len(stored(server, folder)[1]) == 2
    tracker = Tracker(folder, middle.uri, "search")
    tracker.rebuild(history(2))
    log(tracker, range(2, 3))
    tracker.finish("FINISHED", "the budget of trials is spent")
    assert_all_written(server, folder, 3)


def test_doubles_that_an_outage_left_are_gone_after_the_next_start(server, folder):
    tracker = Tracker(folder, server.uri, "search")
    log(tracker, range(2))
    tracker.finish("KILLED", "stopped")
    client, parents, children = stored(server, folder)
    twin = next(run for run in children if run.data.tags["trial"] == "1")
    client.create_run(twin.info.experiment_id, 1, twin.data.tags, twin.info.run_name)
    tracker = Tracker(folder, server.uri, "search")
    tracker.rebuild(history(2))
    tracker.finish("FINISHED", "the budget of trials is spent")
    _, parent = assert_all_written(server, folder, 2)
    assert parent.info.run_id == parents[0].info.run_id


def test_artifacts_that_cannot_be_stored_are_said_and_cost_no_run(server, middle, folder):
    middle.broken = "mlflow-artifacts"
    tracker = Tracker(folder, middle.uri, "search")
    log(tracker, range(3))
    tracker.texts({"front.txt": "table"})
    tracker.finish("FINISHED", "the budget of trials is spent")
    (problem,) = tracker.problems
    assert problem.startswith(f"artifacts not taken by {middle.uri}: ")
    _, parents, children = stored(server, folder)
    assert [run.info.status for run in (*parents, *children)] == ["FINISHED"] * 4


def test_a_search_without_a_run_of_its_own_is_said_once(middle, folder):
    middle.broken = "experiments/create"
    tracker = Tracker(folder, middle.uri, "search")
    log(tracker, range(5))
    tracker.finish("FINISHED", "the budget of trials is spent")
    assert any("trial 0, trial 1, trial 2 and 3 more not taken" in problem for problem in tracker.problems)


@pytest.mark.slow
def test_a_process_ends_though_its_server_hangs(folder):
    code = """
import sys
from pathlib import Path
from palettune.search.tracking import tracking
from palettune.search.experiment.run_folder import RunFolder
from tests.search.tracking.test_tracking import log
tracking._PATIENCE = 0.5
tracker = tracking.Tracker(RunFolder(Path(sys.argv[1]), "one"), sys.argv[2], "search", warn=print)
log(tracker, range(3))
tracker.finish("FINISHED", "done")
print(*tracker.problems)
"""
    with socket.socket() as silent:  # connects, and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"http://me:secret@127.0.0.1:{silent.getsockname()[1]}"
        ended = subprocess.run(
            [sys.executable, "-c", code, str(folder.root), uri],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "3 of 3 runs could not be written" in ended.stdout
    assert "secret" not in ended.stdout
