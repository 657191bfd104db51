"""Samples: the batches of a workload taken apart into single samples, and single samples put together again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from evaluators.course import Course
from evaluators.sample_axes import FIRST, Inputs, SampleAxes
from evaluators.workload import Batch

__all__ = ["Inputs", "joined", "one_by_one", "single_samples"]


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


def one_by_one(
    run: Callable[[Inputs], Mapping[str, Tensor]], inputs: Inputs, axes: SampleAxes = FIRST
) -> dict[str, Tensor]:
    """A batch through what was made for one sample: its outputs by name, as those of the batch.

    Samples along the first axis go through together, which a program does by itself.
    """
    parts = [inputs] if axes == FIRST else axes.split(inputs)
    found = [run(part) for part in parts]
    if len(found) == 1:
        return dict(found[0])
    floating = [name for name, value in found[0].items() if value.is_floating_point()]
    places = {name: floating.index(name) if name in floating else None for name in found[0]}
    return {name: axes.together([one[name] for one in found], place) for name, place in places.items()}
