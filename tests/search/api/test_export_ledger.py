"""Each package of an export is listed as soon as it is there: in its folder, on the review page, in MLflow."""

import json
import shutil
from collections import OrderedDict
from pathlib import Path

import pytest
from mlflow import MlflowClient

import palettune as pt
from palettune.search.api.export_ledger import ExportLedger
from tests.search.api.conftest import experiment_of
from tests.search.made_up import exported
from tests.search.review.page_reader import data_of


@pytest.fixture
def moved(tiny, tmp_path, monkeypatch):
    """The run of the small search in a folder of its own, as a process of its own finds it."""
    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._artifact_repos_cache", OrderedDict())
    shutil.copytree(tiny / "runs", tmp_path / "runs")
    return pt.open_run(experiment_of(tiny / "workload.py"), root=tmp_path / "runs")


def in_mlflow(run, name):
    """A file of the search's own run."""
    client = MlflowClient(run.folder.tracking_uri)
    experiment = client.get_experiment_by_name("tiny").experiment_id
    (parent,) = client.search_runs([experiment], "tags.kind = 'search'")
    return Path(client.download_artifacts(parent.info.run_id, name)).read_text()


def proven(text):
    """Trials of the packages that a page shows."""
    return [proof["trial"] for proof in data_of(text)["checks"]["proofs"]]


def package(run, out, place):
    record = run.front.members[place]
    path = out / f"{place}.mlpackage"
    path.mkdir(parents=True)
    (path / "Manifest.json").write_text("{}")
    return record.trial, exported(record, path=path)


def test_a_package_is_listed_everywhere_before_the_next_one_is_made(moved, tmp_path):
    out, told = tmp_path / "out", []
    ledger = ExportLedger(moved.folder, moved.search_id, ["head"], out, None, None, told.append)
    warned = []
    ledger.show(moved.review, warned.append)
    assert warned == []  # nothing is there to be shown
    trial, item = package(moved, out, 0)
    ledger.take(item)
    assert told == [item]
    assert [entry["trial"] for entry in json.loads(ledger.manifest.read_text())] == [trial]
    assert [entry["trial"] for entry in json.loads(in_mlflow(moved, "packages/manifest.json"))] == [trial]
    ledger.show(moved.review, warned.append)
    assert proven(moved.folder.review.read_text()) == proven(in_mlflow(moved, "review.html")) == [trial]
    assert (ledger.problem, warned) == (None, [])


def test_what_mlflow_does_not_take_is_listed_elsewhere_and_said(moved, tmp_path):
    trial, item = package(moved, tmp_path / "out", 1)
    nowhere = f"sqlite:///{tmp_path}/none.db"
    ledger = ExportLedger(moved.folder, moved.search_id, [], tmp_path / "out", nowhere, None, lambda item: None)
    ledger.take(item)
    ledger.show(moved.review, pytest.fail)
    assert "there is no such database" in ledger.problem
    assert proven(moved.folder.review.read_text()) == [trial]


@pytest.mark.slow
def test_an_export_that_is_interrupted_leaves_what_was_proven(moved, tmp_path):
    seen = []

    def interrupt(item):
        seen.append(item.record.trial)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        moved.export([0, 1, 2], tmp_path / "out", on_exported=interrupt)
    assert [entry["trial"] for entry in json.loads((tmp_path / "out" / "manifest.json").read_text())] == seen == [0, 1]
    assert [entry["trial"] for entry in json.loads(in_mlflow(moved, "packages/manifest.json"))][:1] == [0]
    assert proven(in_mlflow(moved, "review.html")) == [0, 1]
