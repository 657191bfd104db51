"""Calibration samples: one part to fit on, another to judge by, both apart from the evaluation data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evaluators.content_hash import tensors_digest
from evaluators.samples import Inputs, single_samples
from evaluators.workload import Split, Workload, WorkloadError

__all__ = ["CalibrationSamples", "calibration_samples"]

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
    digest = tensors_digest(value for sample in fit for value in sample)
    return CalibrationSamples(tuple(fit), tuple(held_out), digest, tuple(_notes(workload, samples, fit)))


def _notes(workload: Workload, samples: Sequence[Inputs], fit: Sequence[Inputs]) -> list[str]:
    notes = []
    seen = {tensors_digest(sample) for sample in single_samples(workload.batches(Split.EVALUATION), 10**9)}
    repeated = sum(tensors_digest(sample) in seen for sample in samples)
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
