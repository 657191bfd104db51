"""What a search leaves for people on MLflow's parent run: pictures, tables, and why each layer got its encoding."""

from __future__ import annotations

import json
from dataclasses import replace

from palettune.search.display.explanation_table import explanation_text
from palettune.search.display.pictures import front_page, front_png, layer_map_page, layer_map_png
from palettune.search.display.tables import front_table_text
from palettune.search.results.explanation import explain_front
from palettune.search.results.front import to_json
from palettune.search.results.search_history import SearchHistory

__all__ = ["artifacts"]


def artifacts(history: SearchHistory) -> dict[str, str | bytes]:
    """Every artifact by file name; none of a search without scores."""
    if history.scores is None:
        return {}
    experiment, context, front = history.experiment, history.study.context, history.front
    latency = context.latency(experiment) if "latency_ms" in experiment.objectives.cost else None
    layers, target, confirmations = context.space.layers, experiment.deployment_target, history.confirmations
    return {
        "front.html": front_page(experiment.name, history.records, front, confirmations),
        "front.png": front_png(experiment.name, history.records, front, confirmations),
        "layer_map.html": layer_map_page(experiment.name, layers, front, target),
        "layer_map.png": layer_map_png(experiment.name, layers, front, target),
        "front.txt": front_table_text(replace(front, confirmations=confirmations)),
        "front.json": json.dumps(to_json(front, confirmations), indent=2),
        "explanation.txt": explanation_text(explain_front(front, context.space, target, history.scores, latency)),
    }
