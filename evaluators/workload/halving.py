"""Halving: where memory runs out on a batch, its halves are run, and their outputs put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from palettune.device_bench.model.outputs import flatten, replaced
from palettune.evaluators.workload.sample_axes import Inputs, SampleAxes

__all__ = ["Room", "in_halves", "with_room"]

T = TypeVar("T")


@dataclass
class Room:
    """How many samples memory has been found to hold at once; ``None`` as long as it held all that came."""

    samples: int | None = None


def in_halves(run: Callable[[Inputs], Any], inputs: Inputs, axes: SampleAxes, room: Room) -> Any:
    """What ``run`` gives for a batch; in halves, and halves of these, where memory runs out.

    Args:
        room: what earlier batches have shown; it is taken over and written down.

    Raises:
        torch.OutOfMemoryError: one sample does not fit, or the batch cannot be taken apart.
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
    """``run(size)``, begun again with half the size for as long as memory runs out.

    Args:
        size: samples at most that ``run`` holds at once.
        room: what earlier calls have shown; it is taken over and written down.

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
    """Return cached blocks to the GPU; nothing where there is none."""
    torch.cuda.empty_cache()


def _joined(parts: Sequence[Any], axes: SampleAxes) -> Any:
    """Outputs of parts of a batch as those of the batch, in the model's own structure."""
    found: list[Tensor] = []
    floating = 0
    for values in zip(*([value for _, value in flatten(part)] for part in parts), strict=True):
        place = floating if values[0].is_floating_point() else None
        floating += place is not None
        found.append(axes.together(values, place))
    return replaced(parts[0], found)
