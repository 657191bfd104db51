"""Pictures of a front with two costs: three axes, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from palettune.search.results.front import Front
from palettune.search.study.record import Record

__all__ = ["solid_figure"]

Series = Mapping[str, tuple[str, Sequence[Record]]]
"""Colour and records by what proposed them."""
_FRONT, _MEASURED = "#d1495b", "#2e4057"
_LABELS = {"size_mb": "weight file (MB)", "latency_ms": "predicted latency (ms)"}


def solid_figure(name: str, series: Series, front: Front) -> Figure:
    """Draw the front in three axes, and along each cost with the other one as colour."""
    quality, first, second = front.objectives.objectives
    figure = Figure(figsize=(17, 5.2), dpi=110)
    solid: Any = figure.add_axes((0.0, 0.05, 0.32, 0.85), projection="3d")
    solid.set_box_aspect(None, zoom=0.82)
    for kind, (colour, members) in {**series, "front": (_FRONT, front.members)}.items():
        values = np.array([[r.costs[first.name], r.costs[second.name], (r.values or ())[0]] for r in members])
        if len(values):
            heights = np.log10(np.maximum(values[:, 2], 1e-12)) if quality.logarithmic else values[:, 2]
            size = 22 if kind == "front" else 8
            order = 3 if kind == "front" else 2
            solid.scatter(*values[:, :2].T, heights, color=colour, s=size, label=kind, depthshade=False, zorder=order)
    solid.set_xlabel(_LABELS[first.name], fontsize=8)
    solid.set_ylabel(_LABELS[second.name], fontsize=8)
    solid.set_zlabel(f"log10 {quality.name}" if quality.logarithmic else quality.name, fontsize=8)
    solid.tick_params(labelsize=7)
    solid.legend(frameon=False, fontsize=7, loc="upper left")
    solid.set_title(f"{name}: {len(front.members)} on the front")
    _along(figure.add_axes((0.4, 0.13, 0.26, 0.76)), series, front, first.name, second.name)
    _along(figure.add_axes((0.73, 0.13, 0.26, 0.76)), series, front, second.name, first.name)
    return figure


def _along(axes: Axes, series: Series, front: Front, cost: str, other: str) -> None:
    """Quality against one cost; members are coloured by the other."""
    quality = front.objectives.objectives[0]
    for colour, members in series.values():
        axes.scatter(
            [r.costs[cost] for r in members], [(r.values or ())[0] for r in members], color=colour, s=8, alpha=0.5
        )
    points = axes.scatter(
        [r.costs[cost] for r in front.members],
        [(r.values or ())[0] for r in front.members],
        c=[r.costs[other] for r in front.members],
        cmap="viridis",
        s=30,
        edgecolor=_FRONT,
        linewidth=0.8,
        zorder=3,
    )
    measured = _measured(front)
    if measured and cost == "latency_ms":
        xs = [_coordinate(front, r, cost) for r in measured]
        ys = [(r.values or ())[0] for r in measured]
        axes.scatter(xs, ys, color=_MEASURED, marker="x", s=26, linewidth=1.2, zorder=4, label="measured latency")
        axes.legend(frameon=False, fontsize=8)
    reach = [r.costs[cost] for r in front.members] + [_coordinate(front, r, cost) for r in measured]
    if reach:  # trials far off the front would press it into a line
        margin = 0.08 * (max(reach) - min(reach)) + 0.02 * max(reach)
        axes.set_xlim(min(reach) - margin, max(reach) + margin)
    if quality.logarithmic:
        axes.set_yscale("log")
    axes.set_xlabel(_LABELS[cost])
    axes.set_ylabel(quality.name)
    axes.grid(alpha=0.25)
    axes.figure.colorbar(points, ax=axes, label=_LABELS[other])


def _measured(front: Front) -> list[Record]:
    return [record for record in front.members if front.known.measured(record) is not None]


def _coordinate(front: Front, record: Record, cost: str) -> float:
    """A cost of a measured record, its latency as measured."""
    measured = front.known.measured(record)
    return measured.median_ms if measured is not None and cost == "latency_ms" else record.costs[cost]
