"""Samples: the batches of a workload taken apart into single samples, and single samples put together again."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from evaluators.workload import Batch

__all__ = ["Inputs", "SpreadSamples", "joined", "single_samples", "spread_samples"]

Inputs = tuple[Tensor, ...]
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
    batches: Sequence[Batch], count: int, accepts: Callable[[Inputs], bool] | None = None
) -> SpreadSamples:
    """Samples from the whole of some data: of every shape, of every batch, and from all parts of a batch.

    Of each part one is drawn by a fixed seed, for data often repeat at a fixed distance (classes in turn). A batch whose
    inputs do not share a first axis is one sample, as is one that is only accepted whole.

    Args:
        count: how many at most; where there are more shapes or batches than that, they are drawn from evenly.
        accepts: whether a sample of these shapes can be used; it is asked of a batch's first sample, then of the batch.
    """
    total, shapes = 0, dict[Any, list[list[_Place]]]()
    for index, batch in enumerate(batches):
        rows = _rows(batch)
        places: list[_Place] = [(index, row) for row in range(rows)] if rows is not None else [(index, None)]
        if places and accepts is not None and not accepts(_sample(batch, places[0][1])):
            whole = accepts(batch.inputs)  # the first axis is not that of samples
            total += 1 if whole else len(places)
            places = [(index, None)] if whole else []
        else:
            total += len(places)
        if places:
            shapes.setdefault(tuple(_shapes(_sample(batch, places[0][1]))), []).append(places)
    fitting = [[place for places in group for place in places] for group in shapes.values()]
    chosen: list[_Place] = []
    for group, share in zip(shapes.values(), _shares([len(places) for places in fitting], count), strict=True):
        for places, few in zip(group, _shares([len(places) for places in group], share), strict=True):
            chosen += _drawn(places, few)
    ordered = _from_afar(sorted(chosen, key=lambda place: (place[0], place[1] or 0)))
    return SpreadSamples(tuple(_sample(batches[index], row) for index, row in ordered), sum(map(len, fitting)), total)


def _rows(batch: Batch) -> int | None:
    sizes = {value.shape[0] if value.ndim else -1 for value in batch.inputs}
    return None if len(sizes) != 1 or -1 in sizes else sizes.pop()


def _sample(batch: Batch, row: int | None) -> Inputs:
    return batch.inputs if row is None else tuple(value[row : row + 1] for value in batch.inputs)


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


def single_samples(batches: Sequence[Batch], count: int) -> list[tuple[Tensor, ...]]:
    """The first ``count`` samples as inputs of batch 1; a batch whose inputs do not share a first axis stays whole."""
    samples: list[tuple[Tensor, ...]] = []
    for batch in batches:
        rows = _rows(batch)
        samples.extend(_sample(batch, row) for row in ([None] if rows is None else range(rows)))
        if len(samples) >= count:
            break
    return samples[:count]


def joined(samples: Sequence[Inputs], size: int = 16) -> list[Inputs]:
    """Samples in order as batches of at most ``size``; neighbours of other shapes begin another batch.

    A sample that is a whole batch, because its inputs do not share a first axis, stays by itself.
    """
    batches: list[list[Inputs]] = []
    for sample in samples:
        fits = batches and len(batches[-1]) < size and _shapes(batches[-1][0]) == _shapes(sample)
        if fits and all(value.ndim and value.shape[0] == 1 for value in sample):
            batches[-1].append(sample)
        else:
            batches.append([sample])
    return [batch[0] if len(batch) == 1 else tuple(torch.cat(v) for v in zip(*batch, strict=True)) for batch in batches]


def _shapes(sample: Inputs) -> list[Any]:
    return [(value.shape, value.dtype) for value in sample]
