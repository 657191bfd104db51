"""Samples: the batches of a workload taken apart into single samples, and single samples put together again."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from palettune.evaluators.workload.course import Course
from palettune.evaluators.workload.sample_axes import FIRST, Inputs, SampleAxes
from palettune.evaluators.workload.sampling import Sampling
from palettune.evaluators.workload.workload import Batch

__all__ = ["Inputs", "SpreadSamples", "joined", "one_by_one", "single_samples", "spread_samples"]

#: Batch and row; no row where the batch is one sample.
_Place = tuple[int, int | None]
T = TypeVar("T")


@dataclass(frozen=True)
class SpreadSamples:
    """Some single samples from all over some data.

    Attributes:
        samples: inputs of one sample each; the first few of them are spread over the data, too.
        fitting: how many samples of the data could have been chosen.
        total: how many there are.
    """

    samples: tuple[Inputs, ...]
    fitting: int
    total: int


def spread_samples(
    batches: Sequence[Batch],
    count: int,
    accepts: Callable[[Inputs], bool] | None = None,
    sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
) -> SpreadSamples:
    """Samples from the whole of some data: of every shape, of every batch, and from all parts of a batch.

    A model with state is run on the beginning of its first sequence, in order.

    Of each part one is drawn by a fixed seed, for data often repeat at a fixed distance (classes in turn). A batch whose
    inputs do not agree on their number is one sample, as is one that is only accepted whole.

    Args:
        count: how many at most; where there are more shapes or batches than that, they are drawn from evenly.
        accepts: whether a sample of these shapes can be used; it is asked of a batch's first sample, then of the batch.
        sampling: where samples lie, and what state a sequence begins with.
    """
    if sampling.recurrent:
        return _sequence(batches, count, accepts, sampling)
    axes = sampling.axes
    total, shapes = 0, dict[Any, list[list[_Place]]]()
    for index, batch in enumerate(batches):
        rows = axes.count(batch.inputs)
        places: list[_Place] = [(index, row) for row in range(rows)] if rows is not None else [(index, None)]
        if places and accepts is not None and not accepts(_sample(batch, places[0][1], axes)):
            whole = accepts(batch.inputs)  # the first axis is not that of samples
            total += 1 if whole else len(places)
            places = [(index, None)] if whole else []
        else:
            total += len(places)
        if places:
            shapes.setdefault(tuple(_shapes(_sample(batch, places[0][1], axes))), []).append(places)
    fitting = [[place for places in group for place in places] for group in shapes.values()]
    chosen: list[_Place] = []
    for group, share in zip(shapes.values(), _shares([len(places) for places in fitting], count), strict=True):
        for places, few in zip(group, _shares([len(places) for places in group], share), strict=True):
            chosen += _drawn(places, few)
    ordered = _from_afar(sorted(chosen, key=lambda place: (place[0], place[1] or 0)))
    return SpreadSamples(
        tuple(_sample(batches[index], row, axes) for index, row in ordered), sum(map(len, fitting)), total
    )


def _sequence(
    batches: Sequence[Batch], count: int, accepts: Callable[[Inputs], bool] | None, sampling: Sampling
) -> SpreadSamples:
    """The items with which the first sequence begins, as far as they are accepted."""
    items = [batch.inputs for batch in batches[: sampling.sequence]]
    fitting = list(itertools.takewhile(accepts, items)) if accepts is not None else items
    return SpreadSamples(tuple(fitting[:count]), len(fitting), len(items))


def _sample(batch: Batch, row: int | None, axes: SampleAxes) -> Inputs:
    return batch.inputs if row is None else axes.part(batch.inputs, row)


def _shapes(sample: Inputs) -> list[Any]:
    return [(value.shape, value.dtype) for value in sample]


def _shares(sizes: Sequence[int], count: int) -> list[int]:
    """How many of each part: one at least where there are enough, the rest by size; parts drawn evenly where not."""
    if count >= sum(sizes):
        return list(sizes)
    shares = [0] * len(sizes)
    filled = [index for index, size in enumerate(sizes) if size]
    for index in _drawn(filled, min(count, len(filled))):
        shares[index] = 1
    left = count - sum(shares)
    spread = _from_afar(filled)
    for _ in range(max(left, 0)):  # to whom has the fewest for its size
        index = min((i for i in spread if shares[i] < sizes[i]), key=lambda i: shares[i] / sizes[i])
        shares[index] += 1
    return shares


def _drawn(items: Sequence[T], count: int) -> list[T]:
    """One from each of ``count`` equal parts."""
    if not 0 < count < len(items):
        return list(items) if count else []
    chance, edges = random.Random(len(items)), [len(items) * part // count for part in range(count + 1)]
    return [items[chance.randrange(low, high)] for low, high in itertools.pairwise(edges)]


def _from_afar(items: Sequence[T]) -> list[T]:
    """The same items in an order of which every beginning is spread: as the bits of their places, read backwards."""
    bits = max(len(items) - 1, 1).bit_length()
    places = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(2**bits))
    return [items[place] for place in places if place < len(items)]


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
