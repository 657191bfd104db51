"""Whether a configuration from elsewhere fits a model: its layers, and what each of them can take."""

from __future__ import annotations

from palettune.search.preparation.preparation import Preparation
from palettune.space.configuration import Configuration
from palettune.space.errors import UserError, suggestion
from palettune.space.legality import refusal

__all__ = ["check_fits"]

_SHOWN = 10


def check_fits(configuration: Configuration, preparation: Preparation) -> None:
    """Raise UserError that names every layer, a few at most, at which a configuration does not fit a model."""
    layers = {layer.name: layer for layer in preparation.layers}
    kept = {**preparation.workload.kept, **preparation.base.refusals}
    target = preparation.experiment.deployment_target
    problems = []
    for name, encoding in configuration.encodings.items():
        if name not in layers:
            problems.append(f"layer {name!r}: {kept.get(name) or f'the model has none{suggestion(name, layers)}'}")
        elif (reason := refusal(layers[name], encoding, target)) is not None:
            problems.append(f"layer {name!r} cannot take {str(encoding)!r}: {reason}")
    problems += [
        f"layer {name!r} of the model has no encoding" for name in layers if name not in configuration.encodings
    ]
    if configuration.activations and not target.rounds_activations:
        problems.append(f"{target} has no activations in 8 bits: raise deployment_target to iOS17 (macOS14) or later")
    if problems:
        more = f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        listed = "\n".join(f"  {problem}" for problem in problems[:_SHOWN])
        raise UserError(f"the configuration does not fit the model of {preparation.workload.path}:\n{listed}{more}")
