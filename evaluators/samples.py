"""Samples: the batches of a workload taken apart into single samples, and single samples put together again."""

from __future__ import annotations

from collections.abc import Sequence

from evaluators.course import Course
from evaluators.sample_axes import FIRST, Inputs, SampleAxes
from evaluators.workload import Batch

__all__ = ["Inputs", "joined", "single_samples"]


def single_samples(batches: Sequence[Batch], count: int, axes: SampleAxes = FIRST) -> list[Inputs]:
    """The first ``count`` samples as inputs of batch 1; a batch whose inputs do not agree on their number stays whole.

    Args:
        axes: where samples lie.
    """
    samples: list[Inputs] = []
    for batch in batches:
        samples.extend(axes.split(batch.inputs))
        if len(samples) >= count:
            break
    return samples[:count]


def joined(samples: Sequence[Inputs], size: int = 16, axes: SampleAxes = FIRST) -> list[Inputs]:
    """Samples in order as batches of at most ``size``; neighbours of other shapes begin another batch.

    A sample that is a whole batch, because its inputs do not agree on their number, stays by itself.
    """
    return Course.of(samples, axes).together(size).inputs
