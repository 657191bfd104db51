"""Samples: batches of a workload split into single samples, and single samples joined to batches."""

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
    """Single samples drawn from the whole of some data.

    Attributes:
        samples: inputs of one sample each, in an order of which every beginning is spread over the data.
        fitting: number of samples of the data that are accepted.
        total: number of samples of the data.
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
    """Draw samples from the whole of some data: from every shape, every batch, and all parts of a batch.

    From each of equal parts one sample is drawn with a fixed seed, because data often repeat at a fixed distance (classes
    in turn). A batch whose inputs disagree on their number of samples is one sample, as is a batch that is only accepted
    whole. For a model with state, the result is the beginning of the first sequence, in order.

    Args:
        batches: the data.
        count: largest number of samples; of more shapes or batches than that, an even choice is used.
        accepts: returns whether a sample can be used; called with a batch's first sample, then with the batch.
        sampling: axes of samples, and state of the model.
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
    """Return the first ``count`` samples as inputs of batch 1; a batch whose inputs disagree on their number stays whole."""
    samples: list[Inputs] = []
    for batch in batches:
        samples.extend(axes.split(batch.inputs))
        if len(samples) >= count:
            break
    return samples[:count]


def joined(samples: Sequence[Inputs], size: int = 16, axes: SampleAxes = FIRST) -> list[Inputs]:
    """Join samples in order to batches of at most ``size``; a change of shapes begins another batch.

    A sample that is a whole batch, because its inputs disagree on their number, is a batch of its own.
    """
    return Course.of(samples, axes).together(size).inputs


def one_by_one(
    run: Callable[[Inputs], Mapping[str, Tensor]], inputs: Inputs, axes: SampleAxes = FIRST
) -> dict[str, Tensor]:
    """Run a batch one sample at a time and return the outputs by name, joined to those of the batch.

    Samples along the first axis run together.
    """
    parts = [inputs] if axes == FIRST else axes.split(inputs)
    found = [run(part) for part in parts]
    if len(found) == 1:
        return dict(found[0])
    floating = [name for name, value in found[0].items() if value.is_floating_point()]
    places = {name: floating.index(name) if name in floating else None for name in found[0]}
    return {name: axes.together([one[name] for one in found], place) for name, place in places.items()}
