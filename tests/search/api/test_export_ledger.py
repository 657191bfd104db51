"""Each package of an export is listed as soon as it is there: in its folder, on the review page, in MLflow."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from palettune.search.api.export_ledger import ExportLedger
from tests.search.made_up import exported
from tests.search.review.page_reader import data_of


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


def test_a_package_is_listed_everywhere_before_the_next_one_is_made(copied, tmp_path):
    out, told = tmp_path / "out", []
    ledger = ExportLedger(copied.folder, copied.search_id, ["head"], out, None, None, told.append)
    warned = []
    ledger.show(copied.review, warned.append)
    assert warned == []  # nothing is there to be shown
    trial, item = package(copied, out, 0)
    ledger.take(item)
    assert told == [item]
    assert [entry["trial"] for entry in json.loads(ledger.manifest.read_text())] == [trial]
    assert [entry["trial"] for entry in json.loads(in_mlflow(copied, "packages/manifest.json"))] == [trial]
    ledger.show(copied.review, warned.append)
    assert proven(copied.folder.review.read_text()) == proven(in_mlflow(copied, "review.html")) == [trial]
    assert (ledger.problem, warned) == (None, [])


def test_what_mlflow_does_not_take_is_listed_elsewhere_and_said(copied, tmp_path):
    trial, item = package(copied, tmp_path / "out", 1)
    nowhere = f"sqlite:///{tmp_path}/none.db"
    ledger = ExportLedger(copied.folder, copied.search_id, [], tmp_path / "out", nowhere, None, lambda item: None)
    ledger.take(item)
    ledger.show(copied.review, pytest.fail)
    assert "there is no such database" in ledger.problem
    assert proven(copied.folder.review.read_text()) == [trial]


@pytest.mark.slow
def test_an_export_that_is_interrupted_leaves_what_was_proven(copied, tmp_path):
    seen = []

    def interrupt(item):
        seen.append(item.record.trial)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copied.export([0, 1, 2], tmp_path / "out", on_exported=interrupt)
    assert [entry["trial"] for entry in json.loads((tmp_path / "out" / "manifest.json").read_text())] == seen == [0, 1]
    assert [entry["trial"] for entry in json.loads(in_mlflow(copied, "packages/manifest.json"))][:1] == [0]
    assert proven(in_mlflow(copied, "review.html")) == [0, 1]
