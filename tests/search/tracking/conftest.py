"""Stores to write to."""

import shutil

import pytest

from palettune.search.experiment.run_folder import RunFolder
from palettune.search.tracking.tracking_store import mlflow_client


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """The database of an empty store, which takes seconds to make."""
    folder = RunFolder(tmp_path_factory.mktemp("empty"), "x")
    folder.create()
    mlflow_client(folder.tracking_uri).search_experiments()
    return folder.record


@pytest.fixture
def stored(tmp_path, empty_store):
    """A run folder whose own store is there, and empty."""
    folder = RunFolder(tmp_path / "runs", "x")
    folder.create()
    shutil.copy(empty_store, folder.record)
    return folder
