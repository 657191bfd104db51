"""The saved view of the front, as MLflow's table reads it; ``test_mlflow_pages.py`` opens it in a browser."""

import json

from palettune.search.tracking.saved_view import VIEW, saved_view, view_tag
from tests.search.studies import study_of


def test_it_shows_the_front_smallest_first_with_its_figures_and_charts():
    value = saved_view(study_of().objectives, ["top1"], 1000)
    assert view_tag() == f"mlflow.sharedViewState.{VIEW}"
    assert len(value) < 5000  # MLflow's bound of a tag of an experiment
    view = json.loads(value)
    assert (view["name"], view["createdAt"]) == ("Front, smallest first", 1000)
    state = json.loads(view["state"])
    assert (state["searchFilter"], state["orderByKey"], state["orderByAsc"]) == (
        "tags.front = 'true'", "metrics.`size_mb`", True,
    )  # fmt: skip
    assert state["selectedColumns"][:3] == ["metrics.`size_mb`", "metrics.`divergence`", "metrics.`top1`"]
    cloud, *bars = state["compareRunCharts"]
    assert (cloud["xaxis"]["key"], cloud["yaxis"]["key"]) == ("size_mb", "divergence")
    assert {chart["metricSectionId"] for chart in [cloud, *bars]} == {"front"}
    assert len({chart["uuid"] for chart in [cloud, *bars]}) == 1 + len(bars)
