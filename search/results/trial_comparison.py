"""Two evaluations of one search side by side: what they differ in, and what the difference brings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from palettune.search.results.formatting import digits
from palettune.search.study.record import Record
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.footprint import layer_bytes
from palettune.space.layer import Layer
from palettune.space.target import DeploymentTarget

if TYPE_CHECKING:
    import pandas

__all__ = ["LayerDifference", "TrialComparison", "compare_records"]


@dataclass(frozen=True)
class LayerDifference:
    """A layer that two configurations encode differently.

    Attributes:
        added_bytes: in the weight file, from the first to the second.
    """

    layer: str
    first: Encoding
    second: Encoding
    added_bytes: int


@dataclass(frozen=True, repr=False)
class TrialComparison:
    """Two evaluations and their differences, from the first to the second.

    Attributes:
        layers: those with different encodings, the largest change of bytes first.
        costs: by name.
        divergence: ``None`` where one of the two has no result.
        error: standard error of the difference of divergences, paired by sample; ``None`` where samples do not pair.
        metrics: the workload's own that both have.
    """

    first: Record
    second: Record
    layers: tuple[LayerDifference, ...]
    costs: Mapping[str, float]
    divergence: float | None
    error: float | None
    metrics: Mapping[str, float]

    def to_frame(self) -> pandas.DataFrame:
        """Return a row for each layer with different encodings."""
        import pandas

        rows = [(d.layer, str(d.first), str(d.second), d.added_bytes) for d in self.layers]
        columns = ["layer", f"trial {self.first.trial}", f"trial {self.second.trial}", "added_bytes"]
        return pandas.DataFrame(rows, columns=columns).set_index("layer")

    def __repr__(self) -> str:
        changes = [f"{name} {value:+.3f}" for name, value in self.costs.items()]
        if self.divergence is not None:
            spread = f" (+- {digits(self.error)})" if self.error is not None else ""
            changes.append(f"divergence {self.divergence:+.4g}{spread}")
        changes += [f"{name} {value:+.4g}" for name, value in self.metrics.items()]
        return (
            f"TrialComparison(from trial {self.first.trial} to {self.second.trial}: {', '.join(changes)}; "
            f"{len(self.layers)} layers differ)"
        )

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.to_frame().to_html()}"


def compare_records(
    first: Record, second: Record, layers: Mapping[str, Layer], target: DeploymentTarget
) -> TrialComparison:
    """Compare two evaluations of the same search.

    Args:
        layers: of the search space, by name.
    """
    one, two = first.evaluation, second.evaluation
    shared = set(one.metrics) & set(two.metrics) if one and two else set()
    return TrialComparison(
        first,
        second,
        _layers(first.configuration, second.configuration, layers, target),
        {name: second.costs[name] - value for name, value in first.costs.items() if name in second.costs},
        two.divergence - one.divergence if one and two else None,
        _error(one.by_sample, two.by_sample) if one and two else None,
        {name: two.metrics[name] - one.metrics[name] for name in sorted(shared)} if one and two else {},
    )


def _layers(
    first: Configuration, second: Configuration, layers: Mapping[str, Layer], target: DeploymentTarget
) -> tuple[LayerDifference, ...]:
    found = []
    for name, encoding in first.in_order.items():
        other = second.encodings[name]
        if other != encoding:
            added = layer_bytes(layers[name], other, target) - layer_bytes(layers[name], encoding, target)
            found.append(LayerDifference(name, encoding, other, added))
    return tuple(sorted(found, key=lambda item: -abs(item.added_bytes)))


def _error(first: tuple[float, ...], second: tuple[float, ...]) -> float | None:
    """Standard error of the mean paired difference."""
    if len(first) != len(second) or len(first) < 2:
        return None
    return float(np.std(np.subtract(second, first), ddof=1) / math.sqrt(len(first)))
