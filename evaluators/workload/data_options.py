"""Options of an experiment for the workload's data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["DataOptions"]


@dataclass(frozen=True)
class DataOptions:
    """Options that say how the data are run.

    Attributes:
        sequence: number of items after which a model's state is reset; ``None`` for one sequence of all items.
        batch_axis: the axis of samples, or ``"none"``; ``None`` to find it by running the model.
        groups: the function that tells which samples are of one source, by its name in the workload file, or as
            ``module.function`` of a module beside it; ``None`` where every sample is a source of its own.
    """

    sequence: int | None = None
    batch_axis: Literal[0, 1, "none"] | None = None
    groups: str | None = None
