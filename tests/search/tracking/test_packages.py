"""Exported packages in MLflow: logged models beside the trials, which a second export adds to."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from palettune.search.experiment.run_folder import RunFolder
from palettune.search.tracking.packages import log_packages
from palettune.search.tracking.tracking import Tracker
from palettune.search.tracking.tracking_store import TrackingError, mlflow_client
from tests.search.tracking.made_up_exports import CONFIGURATION, exported
from tests.search.tracking.test_tracking import log


@pytest.fixture
def folder(stored):
    """A search of three trials in the run folder's own store."""
    tracker = Tracker(stored, None, "search")
    log(tracker, range(3))
    tracker.finish("FINISHED", "done")
    assert tracker.problems == ()
    return stored


def models_of(folder, uri=None):
    client = MlflowClient(uri or folder.tracking_uri)
    experiment = client.get_experiment_by_name(folder.name)
    return client, client.search_logged_models([experiment.experiment_id])


def parent_of(client, folder):
    experiment = client.get_experiment_by_name(folder.name).experiment_id
    (parent,) = client.search_runs([experiment], "tags.search_id = 'search'")
    return parent


def manifest_in(client, folder):
    path = client.download_artifacts(parent_of(client, folder).info.run_id, "packages/manifest.json")
    return [entry["trial"] for entry in json.loads(Path(path).read_text())]


def test_a_package_is_a_model_of_its_trial_with_figures_encodings_and_proof(folder, tmp_path):
    log_packages(folder, None, "search", *exported(tmp_path / "out", 1), ["l4", "l3", "l2", "l1", "l0"])
    client, (model,) = models_of(folder)
    run = client.get_run(model.source_run_id)
    assert (run.data.tags["trial"], run.data.tags["exported"]) == ("1", "true")
    assert (model.name, model.status, model.model_type) == ("x-trial1-2_09MB", "READY", "coreml")
    assert model.tags["package"] == "x-trial1-2.09MB.mlpackage"
    assert model.tags["proven"] == "true"
    assert model.params["0 l4"] == str(CONFIGURATION.encodings["l4"])
    figures = {metric.key: metric.value for metric in model.metrics}
    assert (figures["divergence"], figures["weight_bytes"]) == (1.5, 1001.0)
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
    place = folder.artifacts / "models" / model.model_id / "artifacts"
    assert {item.name for item in place.iterdir()} == {"x-trial1-2.09MB.mlpackage", "proof.json", "configuration.json"}
    assert (place / "x-trial1-2.09MB.mlpackage" / "Data" / "weight.bin").read_text() == "weights of 1"
    assert json.loads((place / "proof.json").read_text()) == {"passed": True}
    listed = {item.path for item in client.list_logged_model_artifacts(model.model_id)}
    assert "proof.json" in listed


def test_a_second_export_adds_to_the_first_and_the_same_package_is_there_once(folder, tmp_path):
    log_packages(folder, None, "search", *exported(tmp_path / "out", 0, 1))
    log_packages(folder, None, "search", *exported(tmp_path / "again", 1, 2))
    client, models = models_of(folder)
    assert sorted(model.tags["trial"] for model in models) == ["0", "1", "2"]
    assert manifest_in(client, folder) == [0, 1, 2]
    log_packages(folder, None, "search", *exported(tmp_path / "changed", 1, content="other weights"))
    _, models = models_of(folder)
    assert sorted(model.tags["trial"] for model in models) == ["0", "1", "1", "2"]


def test_proven_packages_are_registered_on_request_once_each(folder, tmp_path):
    for _ in range(2):
        log_packages(folder, None, "search", *exported(tmp_path / "out", 0, 1), register="lite")
    log_packages(folder, None, "search", *exported(tmp_path / "bad", 2, passed=False), register="lite")
    client, models = models_of(folder)
    versions = client.search_model_versions("name = 'lite'")
    assert sorted(version.version for version in versions) == [1, 2]
    assert {version.tags["trial"] for version in versions} == {"0", "1"}
    of_first = next(model for model in models if model.tags["trial"] == "0")
    assert client.get_model_version_download_uri("lite", "1") == of_first.artifact_location
    assert json.loads(of_first.tags["mlflow.modelVersions"]) == [{"name": "lite", "version": 1}]


def test_packages_go_to_the_store_of_the_search_which_the_run_folder_remembers(server, tmp_path, request):
    folder = RunFolder(tmp_path / "runs", request.node.name)
    folder.create()
    folder.remember_tracking_uri(server.uri)
    tracker = Tracker(folder, server.uri, "search")
    log(tracker, range(1))
    tracker.finish("FINISHED", "done")
    log_packages(folder, None, "search", *exported(tmp_path / "out", 0), register=request.node.name)
    client, (model,) = models_of(folder, server.uri)
    found = {item.path for item in client.list_logged_model_artifacts(model.model_id, "x-trial0-2.09MB.mlpackage")}
    assert "x-trial0-2.09MB.mlpackage/Manifest.json" in found
    assert manifest_in(client, folder) == [0]
    assert len(client.search_model_versions(f"name = '{request.node.name}'")) == 1
    with pytest.raises(TrackingError, match="no run of this search there; --tracking-uri names the store"):
        log_packages(folder, None, "another search", *exported(tmp_path / "out", 0))


def test_packages_of_a_trial_that_has_no_run_are_the_search_s_own(folder, tmp_path):
    log_packages(folder, None, "search", *exported(tmp_path / "out", 77))
    client, (model,) = models_of(folder)
    assert model.source_run_id == parent_of(client, folder).info.run_id


@pytest.mark.parametrize("uri", [None, "sqlite:///{folder}/none.db", "http://127.0.0.1:9"])
def test_packages_without_a_store_leave_nothing_behind(tmp_path, uri):
    folder = RunFolder(tmp_path / "runs", "one")
    folder.create()
    with pytest.raises(TrackingError, match="--tracking-uri names the store of the search"):
        log_packages(folder, uri and uri.format(folder=folder.path), "search", *exported(tmp_path / "out", 0))
    assert not list(folder.path.iterdir())


def test_a_name_that_mlflow_does_not_take_is_said(folder, tmp_path):
    with pytest.raises(TrackingError, match="model name"):
        log_packages(folder, None, "search", *exported(tmp_path / "out", 0), register="a/b:c")
    assert mlflow_client(folder.tracking_uri).search_registered_models() == []
