"""Artifacts of MLflow's parent run beside the review page: pictures, and the front as JSON."""

from __future__ import annotations

import json

from palettune.search.display.pictures import front_png, layer_map_png
from palettune.search.results.front import to_json
from palettune.search.results.search_history import SearchHistory

__all__ = ["artifacts"]


def artifacts(history: SearchHistory) -> dict[str, str | bytes]:
    """Draw and return every artifact by file name; none of a search without scores."""
    if history.scores is None:
        return {}
    experiment, front, confirmations = history.experiment, history.front, history.confirmations
    layers = history.study.context.space.layers
    return {
        "front.png": front_png(experiment.name, history.records, front, confirmations),
        "layer_map.png": layer_map_png(experiment.name, layers, front, experiment.deployment_target),
        "front.json": json.dumps(to_json(front, confirmations), indent=2),
    }
