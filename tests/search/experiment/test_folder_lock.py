"""One search at a time on a run folder; the lock goes with the process that holds it, however that ends."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from palettune.search.experiment.folder_lock import RunFolderError, hold, is_held
from palettune.search.experiment.run_folder import RunFolder

HOLDER = """
import sys, time
from pathlib import Path
from palettune.search.experiment.folder_lock import hold
from palettune.search.experiment.run_folder import RunFolder
with hold(RunFolder(Path(sys.argv[1]), "one"), print):
    print("held", flush=True)
    {body}
"""


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "runs", "one")


@pytest.fixture
def holder(folder):
    """Starts a process that holds the lock; gives it once it does."""
    started = []

    def start(body="time.sleep(600)"):
        code = HOLDER.format(body=body)
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder.root)], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def nobody(message):
    raise AssertionError(message)


def test_a_second_search_is_refused_with_who_and_since(folder, holder):
    process = holder()
    with (
        pytest.raises(RunFolderError, match=rf"a search is running here \(since .*, by process {process.pid} on host"),
        hold(folder, nobody),
    ):
        pass
    with hold(RunFolder(folder.root, "two"), nobody):  # another experiment under the same root
        pass


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, None])
def test_the_lock_of_a_process_that_is_gone_is_free(folder, holder, end):
    process = holder("time.sleep(0)" if end is None else "time.sleep(600)")
    if end is not None:
        process.send_signal(end)
    process.wait()
    assert folder.lock.exists() == (end is not None)
    with hold(folder, nobody):
        assert json.loads(folder.lock.read_text())["process"] == os.getpid()
    assert not folder.path.exists()


def test_a_child_that_outlives_a_killed_parent_does_not_keep_the_lock(folder, holder):
    process = holder("import os; os.fork() and print('forked', flush=True); time.sleep(600)")
    assert process.stdout.readline() == "forked\n"
    process.kill()
    process.wait()
    try:
        for _ in range(500):  # the child may not have run since the fork
            try:
                with hold(folder, nobody):
                    return
            except RunFolderError:
                time.sleep(0.01)
        raise AssertionError("the child keeps the lock")
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def refused_then_failing(folder):
    with hold(folder, nobody):
        with pytest.raises(RunFolderError, match=f"by process {os.getpid()}"), hold(folder, nobody):
            pass
        raise ZeroDivisionError


def test_the_lock_is_held_once_in_one_process_and_free_again_after_an_error(folder):
    with pytest.raises(ZeroDivisionError):
        refused_then_failing(folder)
    with hold(folder, nobody):
        (folder.path / "journal.log").write_text("kept")
    assert [path.name for path in folder.path.iterdir()] == ["journal.log"]


def test_a_lock_that_is_not_signed_yet_is_held_all_the_same(folder, holder):
    holder()
    folder.lock.write_text("")
    with pytest.raises(RunFolderError, match="begun this moment"), hold(folder, nobody):
        pass


def test_no_secret_of_the_command_line_is_written(folder, monkeypatch):
    words = ["palettune", "--tracking-uri", "http://me:secret@host:5000", "--storage", "mysql://h/db?password=secret"]
    monkeypatch.setattr(sys, "argv", words)
    with hold(folder, nobody):
        text = folder.lock.read_text()
    assert "secret" not in text
    assert "http://host:5000" in text


def test_of_many_processes_that_begin_at_once_one_at_a_time_holds_it(folder):
    code = """
import os, sys, time
from pathlib import Path
from palettune.search.experiment.folder_lock import RunFolderError, hold, is_held
from palettune.search.experiment.run_folder import RunFolder
folder = RunFolder(Path(sys.argv[1]), "one")
held = 0
while held < 20:
    try:
        with hold(folder, print):
            alone = folder.root / "alone"
            os.close(os.open(alone, os.O_CREAT | os.O_EXCL))
            time.sleep(0.001)
            alone.unlink()
            held += 1
    except RunFolderError:
        time.sleep(0.001)
"""
    words = [sys.executable, "-c", code, str(folder.root)]
    processes = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


def test_a_file_system_without_locks_is_said_and_searched_on(folder, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    said = []
    monkeypatch.setattr(fcntl, "flock", unsupported)
    with hold(folder, said.append):
        pass
    assert "no locks there (No locks available); run only one search at a time" in said[0]


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with (
        pytest.raises(RunFolderError, match=r"cannot be written to.*--root"),
        hold(RunFolder(tmp_path / "runs", "one"), nobody),
    ):
        pass


@pytest.mark.slow
@pytest.mark.ray
def test_of_two_searches_begun_at_once_one_exits_with_2(project):
    project.write(workload="import time\ntime.sleep(600)\n")  # whoever goes on gets this far
    words = project.command("search", str(project.experiment), "--root", str(project.root), "--fresh")
    both = [subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        while all(process.poll() is None for process in both):
            time.sleep(0.05)
        refused, running = sorted(both, key=lambda process: process.poll() is None)
        errors = refused.stderr.read()
        assert refused.returncode == 2, errors
        assert "a search is running here (since" in errors
        assert f"by process {running.pid}" in errors
        assert "Traceback" not in errors
        assert running.poll() is None
    finally:
        for process in both:
            process.kill()
            process.communicate()
    with hold(RunFolder(project.root, "tiny"), nobody):
        pass


def test_who_looks_whether_a_search_runs_changes_nothing(folder, holder):
    assert not is_held(folder)
    process = holder("time.sleep(600)")
    assert is_held(folder)
    assert json.loads(folder.lock.read_text())["process"] == process.pid
    process.kill()
    process.wait()
    assert folder.lock.exists()
    assert not is_held(folder)
    with hold(folder, nobody):
        assert is_held(folder)
