"""Links to MLflow's pages; ``test_mlflow_pages.py`` opens them in a browser."""

from mlflow import MlflowClient

from palettune.search.tracking.mlflow_links import MlflowLinks, find_links
from palettune.search.tracking.saved_view import FRONT_VIEW, RUNS_VIEW, view_tag


def test_every_link_is_in_model_training_mode():
    assert (
        MlflowLinks("http://host:5000/", "7").runs
        == "http://host:5000/#/experiments/7/runs?workflowType=machine_learning"
    )
    links = MlflowLinks("http://host:5000/", "7", "abc", frozenset([RUNS_VIEW, FRONT_VIEW]), frozenset(["review.html"]))
    assert "/runs?viewStateShareKey=palettune-runs&workflow" in links.runs
    assert links.front == (
        "http://host:5000/#/experiments/7/runs?viewStateShareKey=palettune-front&workflowType=machine_learning"
    )
    assert links.charts == f"{links.front}&compareRunsMode=CHART"
    assert links.search == "http://host:5000/#/experiments/7/runs/abc?workflowType=machine_learning"
    page = "http://host:5000/#/experiments/7/runs/abc/artifacts/review.html?workflowType=machine_learning"
    assert (links.artifact("review.html"), links.artifact("other.html")) == (page, None)
    assert (MlflowLinks("", "7").search, MlflowLinks("", "7").front, MlflowLinks("", "7").artifact("x")) == (None,) * 3


def test_they_are_found_by_the_search_or_are_those_of_the_latest_one(stored):
    client = MlflowClient(stored.tracking_uri)
    assert find_links(client, "x", None, "http://host") is None
    experiment = client.create_experiment("x", artifact_location=stored.artifacts.resolve().as_uri())
    assert find_links(client, "x", None, "http://host") == MlflowLinks("http://host", experiment)
    runs = [
        client.create_run(experiment, start_time=at, tags={"search_id": name, "kind": "search"}).info.run_id
        for at, name in ((1, "one"), (2, "two"))
    ]
    client.set_experiment_tag(experiment, view_tag(FRONT_VIEW), "{}")
    assert find_links(client, "x", "one", "http://host").parent == runs[0]
    assert find_links(client, "x", None, "http://host").parent == runs[1]
    found = find_links(client, "x", None, "http://host")
    assert (found.views, found.files) == ({FRONT_VIEW}, frozenset())
    client.log_text(runs[1], "<html></html>", "review.html")
    assert find_links(client, "x", None, "http://host").files == {"review.html"}
