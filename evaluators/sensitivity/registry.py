"""Registry of sensitivity scores: to add one, write a file with its class and add a line here."""

from __future__ import annotations

from palettune.evaluators.sensitivity.base import SensitivityScore
from palettune.evaluators.sensitivity.fisher import FisherScore
from palettune.evaluators.sensitivity.isolated import IsolatedScore
from palettune.evaluators.sensitivity.weight_error import WeightErrorScore

__all__ = ["registered_scores"]


def registered_scores() -> dict[str, type[SensitivityScore]]:
    """Return every sensitivity score by name."""
    return {method.name: method for method in (FisherScore, IsolatedScore, WeightErrorScore)}
