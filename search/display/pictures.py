"""Pictures: the front, and the front's encodings layer by layer; as pages (plotly) and as PNG (matplotlib)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import plotly.graph_objects as go
from matplotlib.figure import Figure

from palettune.evaluators.quality.evaluation import Evaluation
from palettune.search.display.three_axis_pictures import solid_page, solid_png
from palettune.search.experiment.rungs.registry import EscalationSettings
from palettune.search.results.front import Front
from palettune.search.results.known_latency import KnownLatency
from palettune.search.study.record import Record
from palettune.space.footprint import layer_bytes
from palettune.space.layer import Layer
from palettune.space.target import DeploymentTarget

__all__ = ["front_page", "front_png", "layer_map_page", "layer_map_png"]

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


def _hover(record: Record, known: KnownLatency) -> str:
    lines = [f"<b>trial {record.trial}</b> ({record.origin}, {record.workflow.value})"]
    lines += [f"{_LABELS.get(name, name)}: {value:.4g}" for name, value in record.costs.items()]
    measured = known.measured(record)
    if measured is not None:
        lines.append(f"measured latency (ms): {measured.median_ms:.4g} on {measured.device}")
    if record.evaluation is not None:
        lines.append(f"divergence: {record.evaluation.divergence:.4g}")
        lines += [f"{name}: {value:.4g}" for name, value in record.evaluation.metrics.items()]
    return "<br>".join([*lines, f"configuration {record.configuration.hash}"])


def front_page(
    name: str, records: Sequence[Record], front: Front, confirmations: Mapping[str, Evaluation] | None = None
) -> str:
    """An interactive page: every trial, and the front; turned by hand where there are three axes."""
    if len(front.objectives.objectives) == 3:
        return solid_page(name, _series(records), front, lambda record: _hover(record, front.known))
    x, y, logarithmic = _axes(front)
    figure = go.Figure()
    for kind, (colour, members) in _series(records).items():
        figure.add_scatter(
            x=[r.costs[x] for r in members],
            y=[(r.values or ())[0] for r in members],
            mode="markers",
            name=kind,
            marker={"color": colour, "size": 8, "symbol": "diamond" if kind == "uniform" else "circle"},
            text=[_hover(r, front.known) for r in members],
            hoverinfo="text",
        )
    for below, above in _escalated(records):
        figure.add_scatter(
            x=[below.costs[x], above.costs[x]],
            y=[(below.values or ())[0], (above.values or ())[0]],
            mode="lines",
            line={"color": _COLOURS.get(above.rung or "", _OTHER), "width": 1, "dash": "dot"},
            hoverinfo="skip",
            showlegend=False,
        )
    figure.add_scatter(
        x=[r.costs[x] for r in front.members],
        y=[(r.values or ())[0] for r in front.members],
        mode="lines+markers",
        name="front",
        line={"color": _FRONT, "width": 2, "shape": "hv"},
        marker={"size": 9, "color": _FRONT, "line": {"color": "white", "width": 1}},
        text=[_hover(r, front.known) for r in front.members],
        hoverinfo="text",
    )
    seen = _confirmed(front, confirmations)
    if seen:
        figure.add_scatter(
            x=[r.costs[x] for r, _ in seen],
            y=[value for _, value in seen],
            mode="markers",
            name="front, on unseen data",
            marker={"size": 9, "color": _FRONT, "symbol": "x-thin", "line": {"color": _FRONT, "width": 1.5}},
            text=[f"trial {r.trial} on unseen data: {value:.4g}" for r, value in seen],
            hoverinfo="text",
        )
    figure.update_layout(title=f"{name}: {len(front.members)} configurations on the front", template="plotly_white")
    figure.update_xaxes(title=_LABELS.get(x, x))
    figure.update_yaxes(title=y, type="log" if logarithmic else "linear")
    return str(figure.to_html(include_plotlyjs=True, full_html=True))


def front_png(
    name: str, records: Sequence[Record], front: Front, confirmations: Mapping[str, Evaluation] | None = None
) -> bytes:
    """The same picture as PNG."""
    if len(front.objectives.objectives) == 3:
        return _png(solid_png(name, _series(records), front))
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
    return _png(figure)


def _bits(layers: Sequence[Layer], front: Front, target: DeploymentTarget) -> tuple[np.ndarray, list[list[str]]]:
    chosen = [[record.configuration.encodings[layer.name] for record in front.members] for layer in layers]
    bits = [
        [layer_bytes(layer, encoding, target) * 8 / layer.parameters for encoding in row]
        for layer, row in zip(layers, chosen, strict=True)
    ]
    rounded = [[layer.name in record.configuration.activations for record in front.members] for layer in layers]
    spelt = [
        [f"{encoding}{', input in 8 bits' if eighth else ''}" for encoding, eighth in zip(*rows, strict=True)]
        for rows in zip(chosen, rounded, strict=True)
    ]
    return np.array(bits), spelt


def layer_map_page(name: str, layers: Sequence[Layer], front: Front, target: DeploymentTarget) -> str:
    """An interactive map: layers down, front members across, colour by stored bits per weight."""
    bits, spelt = _bits(layers, front, target)
    columns = [f"{r.costs['size_mb']:.2f} MB · trial {r.trial}" for r in front.members]
    figure = go.Figure(
        go.Heatmap(
            z=np.minimum(bits, 16),
            x=columns,
            y=[f"{layer.name} {layer.shape}" for layer in layers],
            text=spelt,
            customdata=bits,
            hovertemplate="%{y}<br>%{x}<br>%{text}: %{customdata:.2f} bits per weight<extra></extra>",
            colorscale="Viridis",
            colorbar={"title": "bits per weight"},
            zmin=0,
            zmax=16,
        )
    )
    figure.update_layout(
        title=f"{name}: encodings of the front, layer by layer",
        height=max(400, 18 * len(layers) + 200),
        template="plotly_white",
    )
    figure.update_yaxes(autorange="reversed", tickfont={"size": 9})
    return str(figure.to_html(include_plotlyjs=True, full_html=True))


def layer_map_png(name: str, layers: Sequence[Layer], front: Front, target: DeploymentTarget) -> bytes:
    """The same map as PNG."""
    bits, _ = _bits(layers, front, target)
    height = min(max(4.0, 0.16 * len(layers) + 1.5), 40.0)
    figure = Figure(figsize=(max(6.0, 0.28 * len(front.members) + 3.5), height), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(np.minimum(bits, 16), aspect="auto", cmap="viridis", vmin=0, vmax=16, interpolation="nearest")
    axes.set_yticks(range(len(layers)), [layer.name for layer in layers], fontsize=6)
    labels = [f"{r.costs['size_mb']:.2f}" for r in front.members]
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=6)
    axes.set_xlabel("front member (MB)")
    axes.set_title(f"{name}: stored bits per weight")
    figure.colorbar(image, ax=axes, label="bits per weight")
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
