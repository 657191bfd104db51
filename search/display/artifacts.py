"""What a search leaves for people on MLflow's parent run: pictures, tables, and why each layer got its encoding."""

from __future__ import annotations

import json
from collections.abc import Sequence

from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.display.pictures import front_page, front_png, layer_map_page, layer_map_png
from palettune.search.display.tables import front_table_text
from palettune.search.experiment.experiment import Experiment
from palettune.search.results.explanation import explain_front, explanation_text
from palettune.search.results.front import Front, to_json
from palettune.search.study.record import Record
from palettune.search.study.study import SearchStudy

__all__ = ["artifacts"]


def artifacts(
    experiment: Experiment, study: SearchStudy, records: Sequence[Record], front: Front, scores: Scores
) -> dict[str, str | bytes]:
    """Every artifact by file name."""
    latency = study.context.latency(experiment) if "latency_ms" in experiment.objectives.cost else None
    layers, target = study.context.space.layers, experiment.deployment_target
    confirmations = study.confirmations()
    return {
        "front.html": front_page(experiment.name, records, front, confirmations),
        "front.png": front_png(experiment.name, records, front, confirmations),
        "layer_map.html": layer_map_page(experiment.name, layers, front, target),
        "layer_map.png": layer_map_png(experiment.name, layers, front, target),
        "front.txt": front_table_text(front, confirmations),
        "front.json": json.dumps(to_json(front, confirmations), indent=2),
        "explanation.txt": explanation_text(explain_front(front, study.context.space, target, scores, latency)),
    }
