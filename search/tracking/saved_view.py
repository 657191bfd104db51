"""A saved view of MLflow's table of runs: the front, smallest first, with its figures and charts.

MLflow keeps such views as tags of the experiment (version 3.17); where another version reads them otherwise, its table
is as it is without them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from palettune.search.experiment.objectives import ObjectiveSet

__all__ = ["VIEW", "saved_view", "view_tag"]

VIEW = "palettune-front"
"""The key of the view in links: ``viewStateShareKey=palettune-front``."""
_COLUMNS = ("compression", "bits_per_weight", "unseen.divergence")


def view_tag() -> str:
    """The name of the experiment's tag that holds the view."""
    return f"mlflow.sharedViewState.{VIEW}"


def saved_view(objectives: ObjectiveSet, metrics: Sequence[str], now_ms: int) -> str:
    """The view as the tag's value.

    Args:
        metrics: the workload's own, shown after the divergence.
        now_ms: when it is made, milliseconds since the epoch.
    """
    costs = [objective.name for objective in objectives.objectives[1:]]
    columns = list(dict.fromkeys([*costs, "divergence", *metrics, *_COLUMNS]))
    state = {
        "searchFilter": "tags.front = 'true'",
        "orderByKey": f"metrics.`{costs[0]}`",
        "orderByAsc": True,
        "selectedColumns": [*(f"metrics.`{name}`" for name in columns), "tags.`workflow`", "tags.`knee`"],
        "compareRunCharts": _charts(objectives, columns),
        "compareRunSections": [{"uuid": "front", "name": "Front", "display": True, "isReordered": False}],
        "isAccordionReordered": True,
    }
    view = {"name": "Front, smallest first", "createdAt": now_ms, "updatedAt": now_ms, "state": json.dumps(state)}
    return json.dumps(view)


def _charts(objectives: ObjectiveSet, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Quality over each cost, then a bar for each figure."""
    quality, *costs = [objective.name for objective in objectives.objectives]
    clouds: list[dict[str, Any]] = [
        {"type": "SCATTER", "uuid": f"front-{cost}", "xaxis": _axis(cost), "yaxis": _axis(quality)} for cost in costs
    ]
    bars: list[dict[str, Any]] = [{"type": "BAR", "uuid": f"bar-{name}", "metricKey": name} for name in columns]
    common: dict[str, Any] = {"metricSectionId": "front", "deleted": False, "isGenerated": False}
    return [chart | common for chart in (*clouds, *bars)]


def _axis(metric: str) -> dict[str, str]:
    return {"key": metric, "type": "METRIC"}
