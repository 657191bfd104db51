"""The plots of the validation page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.latency_validation.validation import Case, ratios
from palettune.device_bench.devices.unit import Unit

matplotlib.use("Agg")
from matplotlib import pyplot

Vector = NDArray[np.float64]
COLORS = {Unit.NEURAL_ENGINE: "#1b6ca8", Unit.GPU: "#d1603d", Unit.CPU: "#6b7a3a"}
LABELS = {Unit.NEURAL_ENGINE: "Neural Engine", Unit.GPU: "GPU", Unit.CPU: "CPU"}


def levels(cases: Sequence[Case], predicted: Vector, path: Path) -> None:
    """Predicted over measured latency, with lines at a factor of 1 and 1.4."""
    figure, axes = pyplot.subplots(figsize=(6.2, 5.4))
    for unit in Unit:
        chosen = [i for i, c in enumerate(cases) if c.observed.unit is unit and c.observed.absolute]
        measured = [cases[i].row.latency_ms for i in chosen]
        axes.scatter(measured, predicted[chosen], s=16, alpha=0.7, color=COLORS[unit], label=LABELS[unit])
    _diagonal(axes, 0.05, 60000, 1.4)
    axes.set(xscale="log", yscale="log", xlabel="published latency, ms", ylabel="predicted latency, ms")
    axes.set_title("Latency, each origin left out of the fit, no calibration")
    axes.legend(frameon=False)
    _save(figure, path)


def ratio_plot(cases: Sequence[Case], predicted: Vector, path: Path) -> None:
    """Predicted over measured ratio of compressed and fp16 latency."""
    figure, axes = pyplot.subplots(figsize=(6.2, 5.4))
    found = ratios(cases, predicted)
    for unit in Unit:
        mine = [r for r in found if r.case.observed.unit is unit]
        axes.scatter(
            [r.measured for r in mine], [r.predicted for r in mine], s=16, alpha=0.7, color=COLORS[unit],
            label=LABELS[unit],
        )  # fmt: skip
    _diagonal(axes, 0.12, 13, 1.15)
    axes.set(xscale="log", yscale="log", xlabel="published compressed / fp16", ylabel="predicted compressed / fp16")
    axes.set_title("What compression does to latency, each origin left out of the fit")
    axes.legend(frameon=False)
    _save(figure, path)


def error_shares(cases: Sequence[Case], models: Mapping[str, Vector], path: Path) -> None:
    """Share of Neural Engine rows below an error, of ratios and of latencies, by model."""
    figure, both = pyplot.subplots(1, 2, figsize=(10, 4.2), sharey=True)
    for (name, predicted), color in zip(models.items(), ("#1b6ca8", "#c9963b", "#999999"), strict=True):
        of_ratios = [r.error for r in ratios(cases, predicted)]
        of_levels = [
            abs(p / c.row.latency_ms - 1) for c, p in zip(cases, predicted, strict=True) if c.observed.absolute
        ]
        for axes, errors in zip(both, (of_ratios, of_levels), strict=True):
            axes.plot(np.sort(errors), np.arange(1, len(errors) + 1) / len(errors), color=color, label=name)
    for axes, title, target in zip(both, ("compressed / fp16", "latency, no calibration"), (0.15, 0.40), strict=True):
        axes.axvline(target, color="black", lw=0.6, ls=":")
        axes.set(xlim=(0, 1.5), ylim=(0, 1), xlabel="relative error", title=title)
    both[0].set_ylabel("share of published rows")
    both[1].legend(frameon=False, loc="lower right")
    _save(figure, path)


def _diagonal(axes: Any, low: float, high: float, factor: float) -> None:
    line = np.array([low, high])
    axes.plot(line, line, color="black", lw=0.8)
    for f in (factor, 1 / factor):
        axes.plot(line, line * f, color="black", lw=0.5, ls=":")
    axes.set(xlim=(low, high), ylim=(low, high))


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
