"""The layers of a search for its page: menus, exact bytes, predicted losses, times, and what was refused."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from palettune.device_bench.cost.latency_model import LatencyModel, LinearLatency
from palettune.evaluators.sensitivity.scores import Column, Scores
from palettune.search.experiment.experiment import Experiment
from palettune.search.review.encoding_table import EncodingTable
from palettune.search.review.figures import figures
from palettune.search.study.record import Record
from palettune.space.encoding import Encoding
from palettune.space.footprint import layer_bytes
from palettune.space.layer import Layer
from palettune.space.legality import refusal
from palettune.space.search_space import SearchSpace
from palettune.space.target import DeploymentTarget

__all__ = ["brought_encodings", "layer_rows", "losses_of_columns"]

_PRECISE = 9
"""Digits of what the page adds up, so that its sums are those of ``solve``."""
_USUAL = "fisher"


def losses_of_columns(scores: Scores | None) -> dict[Column, float]:
    """Return the predicted divergence of each layer in each encoding that was scored; nothing without scores."""
    if scores is None:
        return {}
    return dict(zip(scores.columns, scores.by_sample.mean(axis=0).tolist(), strict=True))


def brought_encodings(records: Iterable[Record], space: SearchSpace) -> dict[str, dict[Encoding, None]]:
    """Return by layer the encodings that added evaluations use and its menu does not offer."""
    found: dict[str, dict[Encoding, None]] = {}
    for record in records:
        for name, encoding in record.configuration.encodings.items() if record.added else ():
            if encoding not in space.menus[name].encodings:
                found.setdefault(name, {})[encoding] = None
    return found


def layer_rows(
    experiment: Experiment,
    space: SearchSpace,
    table: EncodingTable,
    losses: Mapping[Column, float],
    scores: Scores | None,
    latency: LinearLatency | None,
    brought: Mapping[str, Iterable[Encoding]],
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a row for each layer in the model's order, and the reasons that refusals refer to by number.

    Args:
        losses: of ``losses_of_columns``.
        latency: additive around one configuration; ``None`` without a device.
        brought: of ``brought_encodings``: their figures stand beside the menu, which the page solves and tries with.
    """
    costs = _Costs(experiment.deployment_target, losses, latency)
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
            **costs.of(layer, menu),
            "refused": [
                [table.place(encoding), reasons.setdefault(reason, len(reasons))]
                for encoding, reason in _refused(experiment, asked, space, layer)
            ],
        }
        method = scores.method_of(layer.name) if scores is not None else _USUAL
        if method != _USUAL:
            row["method"] = method
        if others := tuple(brought.get(layer.name, ())):
            row["brought"] = {"encodings": [table.place(e) for e in others], **costs.of(layer, others)}
        rows.append(row)
    return rows, list(reasons)


@dataclass(frozen=True)
class _Costs:
    """What each of some encodings of a layer takes and is predicted to lose."""

    target: DeploymentTarget
    losses: Mapping[Column, float]
    latency: LinearLatency | None

    def of(self, layer: Layer, encodings: Sequence[Encoding]) -> dict[str, Any]:
        """A list of each figure, in the order of the encodings; nothing for what is not known."""
        losses = (self.losses.get((layer.name, encoding)) for encoding in encodings)
        return {
            "bytes": [layer_bytes(layer, encoding, self.target) for encoding in encodings],
            "loss": figures(losses, _PRECISE) if self.losses else None,
            **self._times(layer.name, encodings),
        }

    def _times(self, name: str, encodings: Sequence[Encoding]) -> dict[str, Any]:
        """Microseconds: what each adds around the configuration, and the two parts that decide exactly."""
        if self.latency is None:
            return {"latency_us": None}
        model: LatencyModel = self.latency.model
        parts = [model.layer_times(name, encoding) for encoding in encodings]
        return {
            "latency_us": figures(1e3 * self.latency.cost(name, encoding) for encoding in encodings),
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
