"""A search as MLflow shows it: the run folder's own store, written by the observer alone."""

import shutil
from dataclasses import replace

import pytest
from mlflow import MlflowClient

from palettune.search.experiment.run_folder import RunFolder
from palettune.search.results.ending import Ending
from palettune.search.tracking.mlflow_observer import MlflowObserver
from palettune.search.tracking.tracking_store import mlflow_client
from tests.search.loop.small_searches import history_of, search


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """An empty store, which takes seconds to make."""
    folder = RunFolder(tmp_path_factory.mktemp("empty"), "x")
    folder.create()
    mlflow_client(folder.tracking_uri).search_experiments()
    return folder.record


@pytest.fixture
def folder(tmp_path, empty):
    folder = RunFolder(tmp_path, "x")
    folder.create()
    shutil.copy(empty, folder.record)
    return folder


def observer_of(folder, said):
    return MlflowObserver(
        folder,
        None,
        lambda history: {"front.txt": f"{len(history.front)} members"},
        lambda history: {"calibration": {"pays": 1.0}},
        said.append,
    )


def test_a_search_is_one_run_with_a_run_for_each_evaluation_and_what_an_earlier_session_left(folder):
    said = []
    observer = observer_of(folder, said)
    _, study, _ = search(1)  # an earlier session, which had no store
    history = history_of(1, storage=study._storage)
    earlier = len(history.trials)
    observer.on_search_started(history)
    escalated = replace(history.trials[0], trial=50, escalated_from=0, origin="escalated from 0")
    history.add(escalated)
    observer.on_escalation_finished(escalated, history)
    observer.on_finished(Ending.TRIALS, history)
    assert said == []
    client = MlflowClient(folder.tracking_uri)
    (experiment,) = client.search_experiments(filter_string="name = 'x'")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not parent]
    assert sorted(int(run.data.tags["trial"]) for run in children) == [*range(earlier), 50]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert (parent.data.tags["status_reason"], parent.data.tags["search_id"]) == (Ending.TRIALS.value, "id")
    assert parent.data.metrics["escalation.calibration.pays"] == 1.0
    assert parent.data.metrics["hypervolume"] == pytest.approx(history.hypervolume)
    assert [item.path for item in client.list_artifacts(parent.info.run_id)] == ["front.txt"]


@pytest.mark.parametrize(("ending", "status"), [(Ending.STOPPED, "KILLED"), (Ending.FAILED, "FAILED")])
def test_a_search_without_a_front_ends_with_its_reason(folder, ending, status):
    said = []
    observer, history = observer_of(folder, said), history_of(1)
    observer.on_search_started(history)
    observer.on_finished(ending, history)
    client = MlflowClient(folder.tracking_uri)
    (experiment,) = client.search_experiments(filter_string="name = 'x'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.data.tags["status_reason"]) == (status, ending.value)
    assert client.list_artifacts(run.info.run_id) == []
    assert said == []
