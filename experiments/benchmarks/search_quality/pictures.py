"""Pictures of the comparison: hypervolume as it grows, and the fronts themselves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from landscape import Landscape, Run

from palettune.search.experiment.objectives import non_dominated

__all__ = ["draw_fronts", "draw_progress"]

COLOURS = {
    "ours": "#d62728",
    "score and solve": "#ff9896",
    "isolated scores + exact solve": "#1f77b4",
    "isolated scores + threshold": "#aec7e8",
    "mixed-bit recipe (PSNR)": "#2ca02c",
    "uniform": "#7f7f7f",
    "tpe": "#9467bd",
    "nsga2": "#8c564b",
    "gp": "#e377c2",
    "random": "#bcbd22",
}


def draw_progress(runs: Mapping[str, Sequence[Run]], path: Path, title: str) -> None:
    """Hypervolume against evaluations and against simulated seconds; a band from the worst seed to the best."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 5), sharey=True)
    for name, some in runs.items():
        colour, style = COLOURS[name.split(",")[0]], "--" if "seeded" in name else "-"
        for axis, which in ((axes[0], 0), (axes[1], 1)):
            ends = [max(run.spent if which == 0 else run.clock, default=0.0) for run in some]
            grid = np.geomspace(1 if which == 0 else 0.5, max(ends), 300)
            lines = np.array([_stairs(run, which, grid) for run in some])
            axis.plot(
                grid, np.median(lines, axis=0), style, color=colour, label=name, lw=2.5 if name == "ours" else 1.3
            )
            axis.fill_between(grid, lines.min(axis=0), lines.max(axis=0), color=colour, alpha=0.15, lw=0)
    for axis, label in zip(
        axes, ("evaluations, scoring counted", "seconds, scoring and proposals counted"), strict=True
    ):
        axis.set_xscale("log")
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("hypervolume")
    axes[0].set_title(title, loc="left")
    axes[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _stairs(run: Run, which: int, grid: np.ndarray) -> np.ndarray:
    at, seconds, volumes = run.progress()
    position = np.searchsorted(at if which == 0 else seconds, grid, side="right")
    return np.concatenate([[0.0], volumes])[position]


def draw_fronts(landscape: Landscape, runs: Mapping[str, Sequence[Run]], path: Path) -> None:
    """The front of each strategy's first seed: divergence against size."""
    figure, axis = plt.subplots(figsize=(8.5, 5.5))
    for name, some in runs.items():
        run = some[0]
        losses = np.array(run.losses)
        kept = non_dominated(losses)
        rows = [row for row, member in zip(run.rows, kept, strict=True) if member]
        sizes = np.array([landscape.costs.total("size_mb", row.tolist()) for row in rows])
        values = np.array([landscape.measure(row).divergence for row in rows])
        order = sizes.argsort()
        label = f"{name} ({len(run.losses)} evaluations)"
        style = "o" if name == "uniform" else "o-"
        axis.plot(
            sizes[order],
            values[order],
            style,
            ms=3,
            color=COLOURS[name.split(",")[0]],
            label=label,
            lw=2.2 if name == "ours" else 1.1,
            zorder=3 if name == "ours" else 2,
        )
    axis.set_yscale("log")
    axis.set_ylim(bottom=1e-5)
    axis.set_xlabel("MB in the weight file")
    axis.set_ylabel(landscape.objectives.objectives[0].name)
    axis.set_title(f"{landscape.name}: what each strategy finds", loc="left")
    axis.grid(alpha=0.3, which="both")
    axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
