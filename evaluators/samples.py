"""Samples: the batches of a workload taken apart into single samples, and single samples put together again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from evaluators.workload import Batch

__all__ = ["Inputs", "joined", "single_samples"]

Inputs = tuple[Tensor, ...]


def single_samples(batches: Sequence[Batch], count: int) -> list[tuple[Tensor, ...]]:
    """The first ``count`` samples as inputs of batch 1; a batch whose inputs do not share a first axis stays whole."""
    samples: list[tuple[Tensor, ...]] = []
    for batch in batches:
        sizes = {value.shape[0] if value.ndim else -1 for value in batch.inputs}
        if len(sizes) != 1 or -1 in sizes:
            samples.append(batch.inputs)
        else:
            samples.extend(tuple(v[i : i + 1] for v in batch.inputs) for i in range(sizes.pop()))
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
