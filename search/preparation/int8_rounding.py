"""Activations in 8 bits: which inputs of a configuration can be rounded."""

from __future__ import annotations

from collections.abc import Callable

from palettune.evaluators.calibration.rounded_inputs import roundable_layers, takes_rounded_inputs
from palettune.search.preparation.preparation import Preparation
from palettune.space.configuration import Configuration, Precision

__all__ = ["rounding"]


def rounding(preparation: Preparation) -> Callable[[Configuration], Configuration | None]:
    """Return a function that adds to a configuration the 8-bit activations that its layers can take.

    The result is ``None`` for one that has no layer to round, or whose activations are in 8 bits already.
    """
    workload = preparation.workload
    with workload.sampling.state.around(workload.model):
        takers = roundable_layers(workload.model, workload.example_inputs, preparation.layers)

    def rounded(configuration: Configuration) -> Configuration | None:
        encodings = configuration.in_order
        chosen = {name: Precision.INT8 for name, e in encodings.items() if name in takers and takes_rounded_inputs(e)}
        return Configuration(encodings, chosen) if chosen and not configuration.activations else None

    return rounded
