"""The search's own run, opened by whoever adds to it later: a real store in a run folder."""

from pathlib import Path

import pytest

from palettune.search.experiment.run_folder import RunFolder
from palettune.search.tracking.parent_run import log_review, parent_run
from palettune.search.tracking.tracking_store import TrackingError, mlflow_client, reach_store


@pytest.fixture
def folder(tmp_path):
    found = RunFolder(tmp_path, "tiny")
    found.create()
    reach_store(found, None, print)
    client = mlflow_client(found.tracking_uri)
    artifacts = (found.path / "artifacts").as_uri()
    experiment = client.create_experiment("tiny", artifact_location=artifacts)
    client.create_run(experiment, tags={"search_id": "mine"})
    return found


def test_the_review_page_of_now_is_what_mlflow_has(folder):
    for text in ("<p>first</p>", "<p>second</p>"):
        folder.review.write_text(text)
        log_review(folder, None, "mine")
    with parent_run(folder, None, "mine") as (client, run):
        assert run.data.tags["search_id"] == "mine"
        assert [item.path for item in client.list_artifacts(run.info.run_id)] == ["review.html"]
        local = client.download_artifacts(run.info.run_id, "review.html", str(folder.path))
    assert Path(local).read_text() == "<p>second</p>"


def test_a_store_without_the_search_and_what_fails_meanwhile_are_errors_that_name_the_store(folder):
    with (
        pytest.raises(TrackingError, match="no run of this search there; --tracking-uri"),
        parent_run(folder, None, "x"),
    ):
        pass
    with pytest.raises(TrackingError, match=r"mlflow\.db"), parent_run(folder, None, "mine"):
        raise OSError("no space left")
