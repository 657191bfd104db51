"""What a search's own run says of it."""

import subprocess
from pathlib import Path

import pytest

from palettune.search.tracking.search_contents import git_commit, search_parameters, source_tags, version_tags
from tests.search.studies import experiment_of, study_of


def test_parameters_are_what_cannot_change_and_the_size_of_the_model():
    experiment = experiment_of(constraints={"max_size_mb": 3.0}, space={"encodings": ["fp16", "lut4"]})
    found = search_parameters(experiment, study_of().context)
    assert found["space.encodings"] == "fp16, lut4"
    assert found["deployment_target"] == "iOS18"
    assert (found["search.sampler"], found["constraints.max_size_mb"]) == ("random", "3.0")
    assert (found["model.layers"], found["model.weights"], found["model.fp16.size_mb"]) == ("5", "61440", "100")
    assert not [key for key in found if key.startswith(("budget", "version", "device"))]
    assert all(isinstance(value, str) and value for value in found.values())


def test_versions_budgets_and_the_commit_may_change_and_are_tags(tmp_path):
    found = version_tags(experiment_of(budget={"trials": 7}))
    assert found["budget.trials"] == "7"
    assert {"version.torch", "version.coremltools", "version.palettune"} <= set(found)
    assert git_commit(tmp_path) is None
    assert git_commit(tmp_path / "none") is None


@pytest.mark.skipif(subprocess.run(["git", "--version"], check=False).returncode != 0, reason="needs git")
def test_the_commit_is_that_of_the_workload_s_repository(tmp_path):
    def git(*words):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        return subprocess.run(["git", *identity, *words], cwd=tmp_path, capture_output=True, text=True, check=True)

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    head = git("rev-parse", "HEAD").stdout.strip()
    (tmp_path / "inner").mkdir()
    assert git_commit(tmp_path / "inner") == head
    experiment = experiment_of().model_copy(update={"workload": tmp_path / "inner" / "workload.py"})
    assert version_tags(experiment)["mlflow.source.git.commit"] == head


def test_the_source_is_the_workload_and_the_user_who_searches(monkeypatch):
    monkeypatch.setenv("LOGNAME", "someone")
    found = source_tags(experiment_of())
    assert found["mlflow.user"] == "someone"
    assert Path(found["mlflow.source.name"]).name == "workload.py"
    assert found["mlflow.source.type"] == "LOCAL"
