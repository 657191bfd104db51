"""Calibration samples: one part to fit on, another to judge by, both apart from the evaluation data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from palettune.evaluators.quality.evaluation import evaluation_identity
from palettune.evaluators.weights.content_hash import tensors_digest
from palettune.evaluators.workload.course import Course
from palettune.evaluators.workload.samples import Inputs, single_samples
from palettune.evaluators.workload.sampling import Sampling
from palettune.evaluators.workload.workload import Split, Workload, WorkloadError

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
        sampling: how they go through the model.
        everything: both parts in the data's order, and at which positions each part lies.
    """

    fit: tuple[Inputs, ...]
    held_out: tuple[Inputs, ...]
    digest: str
    notes: tuple[str, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    everything: tuple[Inputs, ...] = ()
    fit_at: tuple[int, ...] = ()
    held_out_at: tuple[int, ...] = ()

    def fitting(self) -> Course:
        """A pass over the samples to fit on; where the model has state, the others bring it forward."""
        return self._course(self.fit, self.fit_at)

    def judging(self) -> Course:
        """A pass over the samples that are held out, likewise."""
        return self._course(self.held_out, self.held_out_at)

    def _course(self, samples: tuple[Inputs, ...], positions: tuple[int, ...]) -> Course:
        if self.sampling.recurrent:
            return self.sampling.course(self.everything, positions)
        return self.sampling.course(samples)


def calibration_samples(workload: Workload, most: int = 256) -> CalibrationSamples:
    """Split the calibration data: every fourth sample is held out.

    Samples are fitted together, so those of other shapes than the commonest only judge.

    Args:
        most: samples used at most, in the data's order.

    Raises:
        WorkloadError: fewer than eight samples.
    """
    sampling = workload.sampling
    samples = single_samples(workload.batches(Split.CALIBRATION), most, sampling.axes)
    if len(samples) < FEWEST:
        raise WorkloadError(
            f"{workload.path}: calibration_data() gives {len(samples)} sample(s); calibration needs at least {FEWEST}, "
            "and 64 or more to judge by: give more"
        )
    shapes = [tuple(tuple(value.shape) for value in sample) for sample in samples]
    commonest = max(sorted(set(shapes)), key=shapes.count)
    fit_at = [i for i in range(len(samples)) if i % _EVERY != _EVERY - 1 and shapes[i] == commonest]
    held_out_at = [i for i in range(len(samples)) if i % _EVERY == _EVERY - 1]
    fit = tuple(samples[i] for i in fit_at)
    return CalibrationSamples(
        fit,
        tuple(samples[i] for i in held_out_at),
        _digest(samples if sampling.recurrent else fit, sampling),
        tuple(_notes(workload, samples, fit)),
        sampling,
        tuple(samples),
        tuple(fit_at),
        tuple(held_out_at),
    )


def _digest(samples: Sequence[Inputs], sampling: Sampling) -> str:
    digest = tensors_digest(value for sample in samples for value in sample)
    found = sampling.identity()
    return evaluation_identity(samples=digest, **found) if found else digest


def _notes(workload: Workload, samples: Sequence[Inputs], fit: Sequence[Inputs]) -> list[str]:
    notes = []
    axes = workload.sampling.axes
    seen = {tensors_digest(sample) for sample in single_samples(workload.batches(Split.EVALUATION), 10**9, axes)}
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
