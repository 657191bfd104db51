"""The saved views, as MLflow's table reads them; ``test_mlflow_pages.py`` opens them in a browser."""

import json

from palettune.search.tracking.saved_view import FRONT_VIEW, RUNS_VIEW, saved_views, view_tag
from tests.search.studies import study_of


def test_one_shows_the_front_smallest_first_and_one_every_evaluation_with_figures_and_charts():
    found = saved_views(study_of().objectives, ["top1"], 1000)
    assert list(found) == [view_tag(RUNS_VIEW), view_tag(FRONT_VIEW)]
    assert view_tag(FRONT_VIEW) == "mlflow.sharedViewState.palettune-front"
    assert all(len(value) < 5000 for value in found.values())  # MLflow's bound of a tag of an experiment
    runs, front = (json.loads(value) for value in found.values())
    assert (front["name"], front["createdAt"]) == ("The front, smallest first", 1000)
    state = json.loads(front["state"])
    assert (state["searchFilter"], state["orderByKey"], state["orderByAsc"]) == (
        "tags.front = 'true'", "metrics.`size_mb`", True,
    )  # fmt: skip
    assert state["selectedColumns"][:3] == ["metrics.`size_mb`", "metrics.`divergence`", "metrics.`top1`"]
    cloud, *bars = state["compareRunCharts"]
    assert (cloud["xaxis"]["key"], cloud["yaxis"]["key"]) == ("size_mb", "divergence")
    assert {chart["metricSectionId"] for chart in [cloud, *bars]} == {state["compareRunSections"][0]["uuid"]}
    assert len({chart["uuid"] for chart in [cloud, *bars]}) == 1 + len(bars)
    assert json.loads(runs["state"])["searchFilter"] == "tags.trial != ''"
