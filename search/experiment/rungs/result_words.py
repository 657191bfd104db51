"""Words for how the weights of an evaluation were found: those of the rung that found them."""

from __future__ import annotations

from functools import cache

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.rungs.registry import EscalationSettings

__all__ = ["result_words"]


@cache
def result_words(workflow: str, rung: str | None = None) -> str:
    """Say how weights were found: ``data-free``, ``calibrated``, ``int8 inputs``; a rung that is gone by its name."""
    name = rung or workflow
    known = EscalationSettings().rung(name)
    if known is not None:
        return known.words
    return "data-free" if name == Workflow.DATA_FREE else name.replace("_", " ")
