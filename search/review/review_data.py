"""The data of a review: everything that its page shows, as plain values.

The page predicts and solves by itself, from the same figures as ``palettune solve``: sums of scores, their level from the
nearest evaluations, exact bytes, and the terms of the latency model.
"""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from palettune.device_bench.cost.latency_model import LinearLatency
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.search.proposing.score_level import NEAREST, UNTAUGHT_SPREAD, WITHIN, ScoreLevel
from palettune.search.review.check_rows import check_rows, escalation_rows
from palettune.search.review.constraint_rows import constraint_rows
from palettune.search.review.encoding_table import EncodingTable
from palettune.search.review.figures import figure, figures
from palettune.search.review.history_rows import history_rows, spans_of_work
from palettune.search.review.latency_terms import latency_terms
from palettune.search.review.layer_rows import brought_encodings, layer_rows, losses_of_columns
from palettune.search.review.review_source import ReviewSource
from palettune.search.review.search_clock import SearchClock
from palettune.search.review.trial_rows import TrialRows
from palettune.space.encoding import FP16
from palettune.space.footprint import layer_bytes

__all__ = ["review_data"]

SCHEMA = 1
_PRECISE = 9
_KINDS = {
    DivergenceKind.KL: (
        "Kullback-Leibler divergence from the float model's class probabilities, in nats, the mean over samples: 0 is "
        "the same output, and no labels are needed"
    ),
    DivergenceKind.SQUARED_ERROR: (
        "squared difference from the float model's outputs, as a share of their energy, the mean over samples: 0 is the "
        "same output, and no labels are needed"
    ),
}


def review_data(source: ReviewSource) -> dict[str, Any]:
    """Return all that the page shows: numbers, texts, lists and mappings, ``None`` where nothing is known."""
    experiment, context, front = source.experiment, source.context, source.front
    space = context.space
    losses = losses_of_columns(source.scores)
    brought = brought_encodings(source.records, space)
    others = [*(e for encodings in brought.values() for e in encodings), *experiment.space.parsed]
    others += [encoding for _, encoding in losses]
    table = EncodingTable(space, others, experiment.deployment_target)
    clock = SearchClock(spans_of_work(source.records, source.facts.phases))
    trials = TrialRows(space, table, front, clock, losses, context.rest_bytes)
    rows = trials.rows(source.records)
    linear = _linear(source)
    layers, reasons = layer_rows(experiment, space, table, losses, source.scores, linear, brought)
    knee = front.knee().trial if front.members else None
    return {
        "schema": SCHEMA,
        "palettune": version("palettune"),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        **_about(source),
        "seconds": figure(clock.seconds),
        "model": {"layers": len(space.layers), "weights": sum(layer.parameters for layer in space.layers)},
        "quality": _quality(source),
        "costs": list(experiment.objectives.cost),
        "constraints": constraint_rows(experiment.constraints),
        "samples": _samples(source),
        "metrics": _metrics(source),
        "encodings": table.rows(),
        "layers": layers,
        "reasons": reasons,
        "constant_bytes": context.rest_bytes,
        "float_bytes": context.rest_bytes
        + sum(layer_bytes(layer, FP16, experiment.deployment_target) for layer in space.layers),
        "prediction": _prediction(trials.level) if losses else None,
        "latency": latency_terms(linear, knee) if linear is not None else None,
        "trials": rows,
        "front": [member.trial for member in front.members],
        "knee": knee,
        "history": history_rows(source.records, front, source.facts.phases, clock),
        "escalation": escalation_rows(source),
        "checks": check_rows(source),
    }


def _about(source: ReviewSource) -> dict[str, Any]:
    experiment, ending = source.experiment, source.facts.ending
    file = shlex.quote(str(experiment.file)) if experiment.file else None
    return {
        "name": experiment.name,
        "commands": {"experiment": file, "options": source.options},
        "state": source.state,
        "ending": ending.value if ending is not None and not source.searching else None,
        "target": experiment.deployment_target.value,
        "device": experiment.device.name if experiment.device is not None else None,
    }


def _quality(source: ReviewSource) -> dict[str, Any]:
    """What the front calls quality, in words, and the value of a model that has learnt nothing, or of the float one."""
    context, words = source.context, _KINDS[source.context.kind]
    asked = source.experiment.objectives.quality
    found = {"name": "divergence", "direction": "minimize", "words": words, "reference": figure(context.chance)}
    if asked != "divergence":
        float_value = context.float_metrics.get(asked.metric)
        told = "" if float_value is None else f"; the float model has {float_value:.4g}"
        found = {"name": asked.metric, "direction": asked.direction, "reference": figure(float_value)}
        found["words"] = f"{asked.metric}, the workload's own metric over all evaluation data{told}"
    return {**found, "divergence_words": words}


def _samples(source: ReviewSource) -> dict[str, int | None]:
    """How many samples the search measured on, and how many it never saw."""
    searched = next((len(r.evaluation.by_sample) for r in source.records if r.evaluation is not None), None)
    confirmed = next(iter(source.front.confirmations.values()), None)
    unseen = len(confirmed.by_sample) if confirmed is not None else None
    groups = confirmed.groups if confirmed is not None else ()
    return {"searched": searched, "unseen": unseen, "sources_unseen": len(set(groups)) or None}


def _metrics(source: ReviewSource) -> list[dict[str, Any]]:
    """The workload's metrics, and which way is better where the experiment says so."""
    measured = [record.evaluation for record in source.records if record.evaluation is not None]
    names = dict.fromkeys(name for evaluation in measured for name in evaluation.metrics)
    directions: dict[str, str] = {o.name: o.direction for o in source.front.objectives.objectives}
    for name, bound in source.experiment.constraints.metrics.items():
        directions.setdefault(name, "maximize" if bound.min is not None else "minimize")
    return [{"name": name, "direction": directions.get(name)} for name in names]


def _prediction(level: ScoreLevel) -> dict[str, Any]:
    return {
        "points": [figures(point, _PRECISE) for point in level.points],
        "nearest": NEAREST,
        "within": WITHIN,
        "spread": UNTAUGHT_SPREAD,
        "unseen": figure(level.divergence(0.0)),
    }


def _linear(source: ReviewSource) -> LinearLatency | None:
    """The latency as it is additive around the knee, or around the fp16 model while there is none."""
    if source.latency is None:
        return None
    members = source.front.members
    return source.latency.linearized(
        source.front.knee().configuration if members else source.context.space.uniform(FP16)
    )
