"""Halving of batches that do not fit in memory; the outputs of the halves are joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from palettune.device_bench.model.outputs import flatten, replace_tensors
from palettune.evaluators.workload.sample_axes import Inputs, SampleAxes

__all__ = ["Room", "in_halves", "with_room"]

T = TypeVar("T")


@dataclass
class Room:
    """Number of samples that memory has been found to hold at once; ``None`` until a batch does not fit."""

    samples: int | None = None


def in_halves(run: Callable[[Inputs], Any], inputs: Inputs, axes: SampleAxes, room: Room) -> Any:
    """Run a batch, and if it does not fit in memory its halves, and their halves; return the joined outputs.

    Args:
        run: from the inputs of a batch to its outputs.
        inputs: the batch.
        axes: axes of samples.
        room: the size that earlier batches were found to fit in; it is used, and updated.

    Raises:
        torch.OutOfMemoryError: one sample does not fit, or the batch cannot be split.
    """
    count = axes.count(inputs)
    if room.samples is None or count is None or count <= room.samples:
        try:
            return run(inputs)
        except torch.OutOfMemoryError:
            if count is None or count < 2:
                raise
        _give_back()
        room.samples = (count + 1) // 2
    assert count is not None
    half = (count + 1) // 2
    samples = axes.split(inputs)
    parts = (axes.join(samples[:half]), axes.join(samples[half:]))
    return _joined([in_halves(run, part, axes, room) for part in parts], axes)


def with_room(run: Callable[[int], T], size: int, room: Room | None = None) -> T:
    """Return ``run(size)``; while memory runs out, start again with half the size.

    Args:
        run: from the largest number of samples to hold at once to a result.
        size: the number to begin with.
        room: the size that earlier calls were found to fit in; it is used, and updated.

    Raises:
        torch.OutOfMemoryError: a size of one does not fit.
    """
    room = room if room is not None else Room()
    size = size if room.samples is None else min(size, room.samples)
    while True:
        try:
            return run(size)
        except torch.OutOfMemoryError:
            if size < 2:
                raise
        _give_back()
        size = room.samples = size // 2


def _give_back() -> None:
    """Free the blocks that torch keeps on a GPU; without effect where there is none."""
    torch.cuda.empty_cache()


def _joined(parts: Sequence[Any], axes: SampleAxes) -> Any:
    """Join the outputs of parts of a batch, in the model's own structure."""
    found: list[Tensor] = []
    floating = 0
    for values in zip(*([value for _, value in flatten(part)] for part in parts), strict=True):
        place = floating if values[0].is_floating_point() else None
        floating += place is not None
        found.append(axes.together(values, place))
    return replace_tensors(parts[0], found)
