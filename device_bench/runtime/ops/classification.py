"""Class labels. Meaning: coremltools ``ops/defs/iOS15/classify.py``."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from palettune.device_bench.runtime.registry import kernel


@kernel("classify")
def classify(probabilities: Tensor, *, classes: Sequence[str | int]) -> tuple[str | int, dict[str | int, float]]:
    """The most likely class, and the probability of each class."""
    flat = probabilities.detach().flatten().tolist()
    table = dict(zip(classes, flat, strict=True))
    return max(table, key=table.__getitem__), table
