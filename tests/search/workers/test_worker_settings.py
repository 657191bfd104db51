"""What workers are told."""

import pickle
from pathlib import Path

import pytest

from palettune.search.experiment.experiment import Needs
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.workers.worker_settings import worker_settings
from tests.search.small_experiment import changed


@pytest.fixture
def preparation(small):
    return changed(small[0], seed=7, escalation={"fine_tuning": {"steps": 5}})


def test_folders_mean_the_same_from_any_working_directory(preparation, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = worker_settings(preparation, RunFolder(Path("runs"), "small"), Needs())
    folder = RunFolder(tmp_path / "runs", "small")
    assert (found.bank, found.states, found.checkpoints) == (folder.bank, folder.states, folder.checkpoints)


@pytest.mark.parametrize(("cpus", "threads"), [(0.5, 1), (1, 1), (2.7, 2), (8, 8)])
def test_a_worker_has_as_many_threads_as_whole_cpus_and_at_least_one(preparation, tmp_path, cpus, threads):
    assert worker_settings(preparation, RunFolder(tmp_path, "small"), Needs(cpus=cpus)).threads == threads


def test_settings_are_those_of_the_experiment_and_travel_to_another_process(preparation, tmp_path):
    found = worker_settings(preparation, RunFolder(tmp_path, "small"), Needs())
    assert [layer.name for layer in found.layers] == ["0", "2"]
    assert (found.seed, found.escalation.fine_tuning.steps) == (7, 5)
    assert pickle.loads(pickle.dumps(found)) == found
