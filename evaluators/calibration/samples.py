"""Calibration samples: one part to fit on, another to judge by, both apart from the evaluation data."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from evaluators.sensitivity.fisher import single_samples
from evaluators.workload import Split, Workload, WorkloadError

__all__ = ["CalibrationSamples", "calibration_samples", "joined"]

Inputs = tuple[Tensor, ...]

FEWEST = 8
_EVERY = 4
_BATCH = 16


@dataclass(frozen=True)
class CalibrationSamples:
    """The samples of a workload's calibration data.

    Attributes:
        fit: inputs of one sample each, all of the same shapes.
        held_out: inputs of one sample each, on which results are compared; never fitted on.
        digest: content hash of ``fit``: part of the identity of whatever is found with it.
        notes: warnings for the user.
    """

    fit: tuple[Inputs, ...]
    held_out: tuple[Inputs, ...]
    digest: str
    notes: tuple[str, ...] = ()


def calibration_samples(workload: Workload, most: int = 256) -> CalibrationSamples:
    """Split the calibration data: every fourth sample is held out.

    Samples are fitted together, so those of other shapes than the commonest only judge.

    Args:
        most: samples used at most, in the data's order.

    Raises:
        WorkloadError: fewer than eight samples.
    """
    samples = single_samples(workload.batches(Split.CALIBRATION), most)
    if len(samples) < FEWEST:
        raise WorkloadError(
            f"{workload.path}: calibration_data() gives {len(samples)} sample(s); calibration needs at least {FEWEST}, "
            "and 64 or more to judge by: give more"
        )
    shapes = [tuple(tuple(value.shape) for value in sample) for sample in samples]
    commonest = max(sorted(set(shapes)), key=shapes.count)
    fit = [s for i, s in enumerate(samples) if i % _EVERY != _EVERY - 1 and shapes[i] == commonest]
    held_out = [s for i, s in enumerate(samples) if i % _EVERY == _EVERY - 1]
    return CalibrationSamples(tuple(fit), tuple(held_out), _digest(fit), tuple(_notes(workload, samples, fit)))


def joined(samples: Sequence[Inputs], size: int = _BATCH) -> list[Inputs]:
    """Samples in order as batches of at most ``size``; neighbours of other shapes begin another batch."""
    batches: list[list[Inputs]] = []
    for sample in samples:
        fits = batches and len(batches[-1]) < size and _shapes(batches[-1][0]) == _shapes(sample)
        if fits and all(value.ndim for value in sample):
            batches[-1].append(sample)
        else:
            batches.append([sample])
    return [batch[0] if len(batch) == 1 else tuple(torch.cat(v) for v in zip(*batch, strict=True)) for batch in batches]


def _notes(workload: Workload, samples: Sequence[Inputs], fit: Sequence[Inputs]) -> list[str]:
    notes = []
    seen = {_digest([sample]) for sample in single_samples(workload.batches(Split.EVALUATION), 10**9)}
    repeated = sum(_digest([sample]) in seen for sample in samples)
    if repeated:
        notes.append(
            f"{workload.path}: {repeated} of {len(samples)} samples of calibration_data() are evaluation samples; "
            "the measured quality flatters whatever is calibrated on them: keep the two apart"
        )
    if len(samples) < 4 * FEWEST:
        notes.append(
            f"{workload.path}: calibration_data() gives {len(samples)} samples, of which {len(fit)} are fitted on; "
            "corrections are shrunk accordingly, and more samples would gain more"
        )
    return notes


def _shapes(sample: Inputs) -> list[Any]:
    return [(value.shape, value.dtype) for value in sample]


def _digest(samples: Sequence[Inputs]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for sample in samples:
        for value in sample:
            digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
            digest.update(value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
