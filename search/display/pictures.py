"""Pictures: the front, and the front's encodings layer by layer, as PNG for those who only look."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure

from palettune.evaluators.quality.evaluation import Evaluation
from palettune.search.display.three_axis_pictures import solid_figure
from palettune.search.experiment.rungs.registry import EscalationSettings
from palettune.search.results.front import Front
from palettune.search.study.record import Record
from palettune.space.footprint import layer_bytes
from palettune.space.layer import Layer
from palettune.space.target import DeploymentTarget

__all__ = ["front_figure", "front_png", "layer_map_png"]

_FRONT, _OTHER = "#d1495b", "#9aa5b1"
_ESCALATED = ("#6a4c93", "#b5179e", "#1b4332", "#8d5524")
_RUNGS = (rung.name for rung in EscalationSettings().rungs)
_COLOURS = {"uniform": "#00798c", "solved": "#edae49", **dict(zip(_RUNGS, cycle(_ESCALATED), strict=False))}
_LABELS = {"size_mb": "size of the weight file (MB)", "latency_ms": "predicted latency (ms)"}


def _axes(front: Front) -> tuple[str, str, bool]:
    objectives = front.objectives.objectives
    return objectives[1].name, objectives[0].name, objectives[0].logarithmic


def _series(records: Sequence[Record]) -> dict[str, tuple[str, list[Record]]]:
    """Records by what proposed them, with a colour for each kind."""
    usable = [r for r in records if r.values is not None and r.answered_from is None]
    found: dict[str, tuple[str, list[Record]]] = {}
    for record in usable:
        kind = record.rung or record.origin.split()[0]
        found.setdefault(kind, (_COLOURS.get(kind, _OTHER), []))[1].append(record)
    return found


def _confirmed(front: Front, confirmations: Mapping[str, Evaluation] | None) -> list[tuple[Record, float]]:
    quality = front.objectives.objectives[0].name
    found = []
    for record in front.members:
        evaluation = (confirmations or {}).get(record.key)
        if evaluation is not None:
            found.append((record, evaluation.divergence if quality == "divergence" else evaluation.metrics[quality]))
    return found


def _escalated(records: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Each escalation after the evaluation that it began from."""
    by_trial = {record.trial: record for record in records if record.values is not None}
    return [
        (by_trial[record.escalated_from], record)
        for record in by_trial.values()
        if record.escalated_from is not None and record.escalated_from in by_trial
    ]


def front_png(
    name: str, records: Sequence[Record], front: Front, confirmations: Mapping[str, Evaluation] | None = None
) -> bytes:
    """Draw every trial, escalations as arrows to their results, the front, and its figures on unseen data."""
    return _png(front_figure(name, records, front, confirmations))


def front_figure(
    name: str, records: Sequence[Record], front: Front, confirmations: Mapping[str, Evaluation] | None = None
) -> Figure:
    """Draw what ``front_png`` shows as a figure; in three axes where there are two costs."""
    if len(front.objectives.objectives) == 3:
        return solid_figure(name, _series(records), front)
    x, y, logarithmic = _axes(front)
    figure = Figure(figsize=(9, 5.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for kind, (colour, members) in _series(records).items():
        xs, ys = [r.costs[x] for r in members], [(r.values or ())[0] for r in members]
        marker = "D" if kind == "uniform" else "o"
        axes.scatter(xs, ys, color=colour, label=kind, marker=marker, s=30 if kind == "uniform" else 18, zorder=2)
        if kind == "uniform":
            for record, px, py in zip(members, xs, ys, strict=True):
                label = record.origin.removeprefix("uniform ")
                axes.annotate(label, (px, py), fontsize=8, xytext=(5, 4), textcoords="offset points", color=colour)
    for below, above in _escalated(records):
        ends = [(below.values or ())[0], (above.values or ())[0]]
        colour = _COLOURS.get(above.rung or "", _OTHER)
        axes.plot([below.costs[x], above.costs[x]], ends, color=colour, linewidth=1, linestyle=":", zorder=2)
        axes.scatter(
            [above.costs[x]], ends[1:], color=colour, marker="v", s=40, edgecolor="white", linewidth=0.5, zorder=5
        )
    fx, fy = [r.costs[x] for r in front.members], [(r.values or ())[0] for r in front.members]
    axes.step(fx, fy, where="post", color=_FRONT, linewidth=1.8, zorder=3)
    axes.scatter(fx, fy, color=_FRONT, s=22, label="front", edgecolor="white", linewidth=0.5, zorder=4)
    if front.members:
        knee = front.knee()
        place = [knee.costs[x]], [(knee.values or ())[0]]
        axes.scatter(*place, color=_FRONT, marker="*", s=150, label="knee", edgecolor="white", linewidth=0.5, zorder=6)
    seen = _confirmed(front, confirmations)
    if seen:
        xs, ys = [r.costs[x] for r, _ in seen], [value for _, value in seen]
        axes.scatter(xs, ys, color=_FRONT, marker="x", s=24, linewidth=1, label="front, on unseen data", zorder=3)
    if logarithmic:
        axes.set_yscale("log")
    axes.set_xlabel(_LABELS.get(x, x))
    axes.set_ylabel(y)
    axes.set_title(name)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure


def _bits(layers: Sequence[Layer], front: Front, target: DeploymentTarget) -> np.ndarray:
    """(layers, members) stored bits per weight."""
    return np.array(
        [
            [
                layer_bytes(layer, record.configuration.encodings[layer.name], target) * 8 / layer.parameters
                for record in front.members
            ]
            for layer in layers
        ]
    )


def layer_map_png(name: str, layers: Sequence[Layer], front: Front, target: DeploymentTarget) -> bytes:
    """Draw a map of stored bits per weight: layers down, front members across."""
    bits = _bits(layers, front, target)
    height = min(max(4.0, 0.16 * len(layers) + 1.5), 40.0)
    figure = Figure(figsize=(max(6.0, 0.28 * len(front.members) + 3.5), height), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(np.minimum(bits, 16), aspect="auto", cmap="viridis", vmin=0, vmax=16, interpolation="nearest")
    axes.set_yticks(range(len(layers)), [layer.name for layer in layers], fontsize=6)
    knee = front.knee() if front.members else None
    labels = [f"{'* ' if r is knee else ''}{r.costs['size_mb']:.2f}" for r in front.members]
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=6)
    axes.set_xlabel("front member (MB)")
    axes.set_title(f"{name}: stored bits per weight")
    figure.colorbar(image, ax=axes, label="bits per weight")
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
