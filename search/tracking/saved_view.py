"""Saved views of MLflow's table of runs: every evaluation, and the front alone, each with its figures and charts.

MLflow keeps such views as tags of the experiment (version 3.17); where another version reads them otherwise, its table
is as it is without them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from palettune.search.experiment.objectives import ObjectiveSet

__all__ = ["FRONT_VIEW", "RUNS_VIEW", "saved_views", "view_tag"]

RUNS_VIEW, FRONT_VIEW = "palettune-runs", "palettune-front"
"""Keys of the views in links, as in ``viewStateShareKey=palettune-front``."""
_FIGURES = ("compression", "bits_per_weight", "unseen.divergence", "divergence.low", "divergence.high")
_TAGS = ("workflow", "front", "knee", "exported")


@dataclass(frozen=True)
class _View:
    name: str
    query: str
    order: str
    tags: Sequence[str]


def view_tag(view: str) -> str:
    """Return the name of the experiment's tag that holds a view."""
    return f"mlflow.sharedViewState.{view}"


def saved_views(objectives: ObjectiveSet, metrics: Sequence[str], now_ms: int) -> dict[str, str]:
    """Return the views as tags of the experiment.

    Args:
        metrics: the workload's own, shown beside the divergence.
        now_ms: when they are made, milliseconds since the epoch.
    """
    order = f"metrics.`{objectives.objectives[1].name}`"  # by date, MLflow would fold trials into their search
    views = {
        RUNS_VIEW: _View("Every evaluation, smallest first", "tags.trial != ''", order, _TAGS),
        FRONT_VIEW: _View("The front, smallest first", "tags.front = 'true'", order, _TAGS[::2]),
    }
    return {view_tag(key): _value(view, objectives, metrics, now_ms) for key, view in views.items()}


def _value(view: _View, objectives: ObjectiveSet, metrics: Sequence[str], now_ms: int) -> str:
    costs = [objective.name for objective in objectives.objectives[1:]]
    figures = list(dict.fromkeys([*costs, "divergence", *metrics, *_FIGURES]))
    state = {
        "searchFilter": view.query,
        "orderByKey": view.order,
        "orderByAsc": True,
        "selectedColumns": [*(f"metrics.`{name}`" for name in figures), *(f"tags.`{name}`" for name in view.tags)],
        "compareRunCharts": _charts(objectives, figures),
        "compareRunSections": [{"uuid": "palettune", "name": view.name, "display": True, "isReordered": False}],
        "isAccordionReordered": True,
    }
    return json.dumps({"name": view.name, "createdAt": now_ms, "updatedAt": now_ms, "state": json.dumps(state)})


def _charts(objectives: ObjectiveSet, figures: Sequence[str]) -> list[dict[str, Any]]:
    """Quality over each cost, then a bar for each figure."""
    quality, *costs = [objective.name for objective in objectives.objectives]
    clouds: list[dict[str, Any]] = [
        {"type": "SCATTER", "uuid": f"cloud-{cost}", "xaxis": _axis(cost), "yaxis": _axis(quality)} for cost in costs
    ]
    bars: list[dict[str, Any]] = [{"type": "BAR", "uuid": f"bar-{name}", "metricKey": name} for name in figures]
    common: dict[str, Any] = {"metricSectionId": "palettune", "deleted": False, "isGenerated": False}
    return [chart | common for chart in (*clouds, *bars)]


def _axis(metric: str) -> dict[str, str]:
    return {"key": metric, "type": "METRIC"}
