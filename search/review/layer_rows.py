"""The layers of a search for its page: menus, exact bytes, predicted losses, times, and what was refused."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from palettune.device_bench.cost.latency_model import LatencyModel, LinearLatency
from palettune.evaluators.sensitivity.scores import Column, Scores
from palettune.search.experiment.experiment import Experiment
from palettune.search.review.encoding_table import EncodingTable
from palettune.search.review.figures import figures
from palettune.space.encoding import Encoding
from palettune.space.footprint import layer_bytes
from palettune.space.layer import Layer
from palettune.space.legality import refusal
from palettune.space.search_space import SearchSpace

__all__ = ["layer_rows", "losses_of_columns"]

_PRECISE = 9
"""Digits of what the page adds up, so that its sums are those of ``solve``."""
_USUAL = "fisher"


def losses_of_columns(scores: Scores | None) -> dict[Column, float]:
    """The predicted divergence of each layer in each encoding that was scored; nothing without scores."""
    if scores is None:
        return {}
    return dict(zip(scores.columns, scores.by_sample.mean(axis=0).tolist(), strict=True))


def layer_rows(
    experiment: Experiment,
    space: SearchSpace,
    table: EncodingTable,
    losses: Mapping[Column, float],
    scores: Scores | None,
    latency: LinearLatency | None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each layer in the model's order, and the reasons that refusals refer to by number.

    Args:
        losses: of ``losses_of_columns``.
        latency: additive around one configuration; ``None`` without a device.
    """
    owner = {name: number for number, group in enumerate(space.groups) for name in group}
    asked = experiment.space.parsed
    reasons: dict[str, int] = {}
    rows = []
    for layer in space.layers:
        menu = space.menus[layer.name].encodings
        row: dict[str, Any] = {
            "name": layer.name,
            "kind": layer.kind.value,
            "shape": list(layer.shape),
            "weights": layer.parameters,
            "group": owner[layer.name],
            "menu": [table.place(encoding) for encoding in menu],
            "bytes": [layer_bytes(layer, encoding, experiment.deployment_target) for encoding in menu],
            "loss": figures((losses[layer.name, e] for e in menu), _PRECISE) if losses else None,
            **_times(layer.name, menu, latency),
            "refused": [
                [table.place(encoding), reasons.setdefault(reason, len(reasons))]
                for encoding, reason in _refused(experiment, asked, space, layer)
            ],
        }
        method = scores.method_of(layer.name) if scores is not None else _USUAL
        rows.append(row if method == _USUAL else row | {"method": method})
    return rows, list(reasons)


def _times(name: str, menu: Sequence[Encoding], latency: LinearLatency | None) -> dict[str, Any]:
    """Microseconds of each encoding: what it adds around the configuration, and the two parts that decide exactly."""
    if latency is None:
        return {"latency_us": None}
    model: LatencyModel = latency.model
    parts = [model.layer_times(name, encoding) for encoding in menu]
    return {
        "latency_us": figures(1e3 * latency.cost(name, encoding) for encoding in menu),
        "busy_us": figures((1e3 * busy for busy, _ in parts), _PRECISE),
        "stream_us": figures((1e3 * stream for _, stream in parts), _PRECISE),
    }


def _refused(
    experiment: Experiment, asked: Sequence[Encoding], space: SearchSpace, layer: Layer
) -> list[tuple[Encoding, str]]:
    """Encodings that the experiment asks for and the layer's menu lacks, each with the reason."""
    offered = set(space.menus[layer.name].encodings)
    missing = [encoding for encoding in asked if encoding not in offered]
    if not missing:
        return []
    if any(fnmatch.fnmatchcase(layer.name, pattern) for pattern in experiment.space.keep):
        return [(encoding, "the experiment keeps this layer as it is (space.keep)") for encoding in missing]
    grouped = any(layer.name in group for group in space.groups if len(group) > 1)
    other = "another layer of its group cannot take it" if grouped else "not offered to this layer"
    if experiment.space.prune:
        other = "another encoding takes fewer bytes for less weight error (space.prune)"
    return [(e, refusal(layer, e, experiment.deployment_target) or other) for e in missing]
