"""The runs of a search in a store: found again by their tags. What outages do to them is in ``test_tracking.py``."""

import pytest
from mlflow import MlflowClient

from palettune.search.experiment.run_folder import RunFolder
from palettune.search.tracking.run_index import PARENT, RunIndex, ended


@pytest.fixture
def folder(stored):
    return stored


def index(folder, search_id="one", own=True):
    return RunIndex(MlflowClient(folder.tracking_uri), folder, search_id, own, {"mlflow.user": "me"})


def test_a_search_and_its_trials_are_found_again_and_other_searches_are_told_apart(folder):
    first = index(folder)
    run = first.made(0, 1000, {PARENT: first.parent, "trial": "0"}, "name")
    assert first.made(0, 2000, {}, "another").info.run_id == run.info.run_id
    again = index(folder)
    assert (again.experiment, again.parent, list(again.runs)) == (first.experiment, first.parent, [0])
    assert not ended(again.runs[0])
    client = MlflowClient(folder.tracking_uri)
    parent = client.get_run(first.parent)
    assert (parent.info.run_name, parent.data.tags["mlflow.user"], parent.info.status) == ("search: x", "me", "RUNNING")
    other = index(folder, "two")
    assert other.parent != first.parent
    assert other.runs == {}
    assert client.get_run(first.parent).info.status == "KILLED"  # nobody is at work there


def test_an_experiment_that_was_deleted_is_restored_and_one_of_another_making_gets_its_kind(folder):
    first = index(folder, "three")
    client = MlflowClient(folder.tracking_uri)
    client.delete_experiment(first.experiment)
    assert index(folder, "three").experiment == first.experiment
    assert client.get_experiment(first.experiment).lifecycle_stage == "active"
    other = RunFolder(folder.root, "y")
    other.create()
    made = MlflowClient(other.tracking_uri).create_experiment("y")
    assert index(other).experiment == made
    assert (
        MlflowClient(other.tracking_uri).get_experiment(made).tags["mlflow.experimentKind"]
        == "custom_model_development"
    )
