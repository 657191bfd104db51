"""Fastest configuration of a search space on one device, and the layers that hold it back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from palettune.device_bench.cost.latency_model import LatencyModel
from palettune.space.configuration import Configuration
from palettune.space.reach import BudgetError
from palettune.space.search_space import SearchSpace

__all__ = ["LatencyReach", "check_latency", "latency_reach"]

_SHOWN = 5
_WEIGHTINGS = 101


@dataclass(frozen=True)
class LatencyReach:
    """Reachable latency of a search space, in predicted milliseconds.

    Attributes:
        fastest: configuration of the least latency.
        fastest_ms: its latency.
        fixed_ms: of that, what no encoding changes.
        blocking: layers by the milliseconds that ``fastest`` still spends on them, most first.
    """

    fastest: Configuration
    fastest_ms: float
    fixed_ms: float
    blocking: tuple[tuple[str, float], ...]


def latency_reach(space: SearchSpace, model: LatencyModel) -> LatencyReach:
    """Find the configuration with the least predicted latency.

    A program's latency grows with two sums over layers, the processor's time and the weights'; whatever their exchange
    rate, the best choice of each layer alone is the best of all, so that trying the rates finds it.
    """
    tables = [
        (group, [sum(np.array(model.layer_times(name, e)) for name in group) for e in space.menus[group[0]].encodings])
        for group in space.groups
    ]
    found: dict[tuple[int, ...], Configuration] = {}
    for share in np.linspace(0.0, 1.0, _WEIGHTINGS):
        weights = np.array([1 - share, share])
        choices = tuple(int(np.argmin(np.asarray(times) @ weights)) for _, times in tables)
        if choices not in found:
            pairs = zip(tables, choices, strict=True)
            found[choices] = Configuration(
                {name: space.menus[group[0]].encodings[i] for (group, _), i in pairs for name in group}
            )
    fastest = min(found.values(), key=lambda configuration: model.predict(configuration).ms)
    linear = model.linearized(fastest)
    spent = {name: linear.cost(name, encoding) for name, encoding in fastest.encodings.items()}
    blocking = tuple(sorted(spent.items(), key=lambda item: (-item[1], item[0])))
    return LatencyReach(fastest, model.predict(fastest).ms, linear.constant_ms, blocking)


def check_latency(found: LatencyReach, model: LatencyModel, budget_ms: float) -> None:
    """Raise BudgetError for a budget below the least latency, with that latency and the layers that block."""
    if budget_ms >= found.fastest_ms:
        return
    listed = ", ".join(
        f"{name} ({ms:.3f} ms as {found.fastest.encodings[name]})" for name, ms in found.blocking[:_SHOWN]
    )
    raise BudgetError(
        f"{budget_ms:g} ms cannot be reached on {model.device.name} ({model.setting}): the least is predicted to be "
        f"{found.fastest_ms:.3f} ms, of which {found.fixed_ms:.3f} ms belong to no layer; most is spent on {listed}. Allow "
        "more time, other encodings for these layers, or another compute unit"
    )
