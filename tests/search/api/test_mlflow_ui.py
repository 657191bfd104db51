"""Where a search is found in MLflow."""

import sys

import pytest

from palettune.search.api.mlflow_ui import mlflow_ui
from palettune.search.experiment.experiment import load_experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.space.errors import UserError


@pytest.fixture
def folder(project):
    folder = RunFolder(project.root, "tiny")
    folder.create()
    return folder


def ui(project):
    return mlflow_ui(load_experiment(project.experiment), project.root, "127.0.0.1", 5001)


def test_the_run_folder_s_own_store_is_served_where_it_was_asked_for(project, folder):
    folder.record.touch()
    found = ui(project)
    assert found.address == "http://127.0.0.1:5001"
    assert found.command[:4] == (sys.executable, "-m", "mlflow", "ui")
    options = dict(zip(found.command[4::2], found.command[5::2], strict=True))
    assert options == {"--backend-store-uri": folder.tracking_uri, "--host": "127.0.0.1", "--port": "5001"}


def test_a_server_of_the_user_s_own_is_only_named(project, folder):
    folder.remember_tracking_uri("http://host:5000")
    assert (ui(project).address, ui(project).command) == ("http://host:5000", None)


def test_another_store_of_the_search_is_served(project, folder):
    folder.remember_tracking_uri("sqlite:////elsewhere/x.db")
    assert "sqlite:////elsewhere/x.db" in ui(project).command


def test_a_folder_without_a_store_is_said(project, folder):
    with pytest.raises(UserError, match="no MLflow store there; run `palettune search"):
        ui(project)
