"""Processors of a chip that run a model."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Unit"]


class Unit(StrEnum):
    """Processors of a chip that run a model."""

    NEURAL_ENGINE = "neural_engine"
    GPU = "gpu"
    CPU = "cpu"
