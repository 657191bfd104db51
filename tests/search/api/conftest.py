"""One small search in this process, whose run the tests of the door read."""

import asyncio
import shutil
from collections import OrderedDict
from pathlib import Path

import pytest

import palettune as pt
from tests.search.conftest import WORKLOAD

VALUES = {
    "name": "tiny",
    "space": {"encodings": ["fp16", "lut8", "lut4", "int8"]},
    "search": {"solved_trials": 2, "score_samples": 8, "confirm": 2},
    "budget": {"trials": 8},
}


def experiment_of(workload: object, **changes: object) -> pt.Experiment:
    return pt.Experiment(workload=workload, **VALUES | changes)


class Heard(pt.SearchObserver):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.trials, self.notes, self.endings = [], [], []

    def warn(self, message):
        self.notes.append(message)

    def on_trial_finished(self, record, history):
        self.trials.append(record.trial)

    def on_finished(self, ending, history):
        self.endings.append(ending)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """A folder with a workload file, and the run of a search of it, which a thread of a running event loop did."""
    folder = tmp_path_factory.mktemp("door")
    (folder / "workload.py").write_text(WORKLOAD)
    experiment = experiment_of(folder / "workload.py")
    heard = Heard()

    async def cell():
        return await asyncio.to_thread(pt.run_search, experiment, root=folder / "runs", inline=True, observers=[heard])

    run = asyncio.run(cell())
    assert run.ending is not None
    assert not run.stopped
    assert len(heard.trials) >= 8
    assert len(heard.endings) == 1
    return folder


@pytest.fixture
def experiment(tiny) -> pt.Experiment:
    return experiment_of(tiny / "workload.py")


@pytest.fixture
def run(tiny, experiment) -> pt.Run:
    return pt.open_run(experiment, root=tiny / "runs")


@pytest.fixture
def copied(tiny, tmp_path, monkeypatch) -> pt.Run:
    """A copy of the run for a test that writes to it, as a process of its own finds it: what others read stays as it is."""
    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._artifact_repos_cache", OrderedDict())
    shutil.copytree(tiny / "runs", tmp_path / "runs")
    for exported in (tmp_path / "runs").rglob("packages"):  # of tests that export from the run itself
        shutil.rmtree(exported)
    return pt.open_run(experiment_of(tiny / "workload.py"), root=tmp_path / "runs")


def facts(run: pt.Run) -> list[tuple[int, str, float]]:
    """What two equal searches agree in."""
    return [(r.trial, r.configuration.to_json(), r.evaluation.divergence) for r in run.front]
