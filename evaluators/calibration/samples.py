"""Calibration samples: one part to fit on, and a held-out part to compare results on."""

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
        held_out: inputs of one sample each, on which results are compared; no method is fitted on them.
        digest: content hash of the samples that results depend on, part of their identity.
        notes: warnings for the user.
        sampling: axes of samples, and state of the model.
        everything: both parts in the data's order.
        fit_at: positions of ``fit`` in ``everything``.
        held_out_at: positions of ``held_out`` in ``everything``.
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
        """Return a course over the samples to fit on; a model with state also runs on the samples between them."""
        return self._course(self.fit, self.fit_at)

    def judging(self) -> Course:
        """Return a course over the held-out samples; a model with state also runs on the samples between them."""
        return self._course(self.held_out, self.held_out_at)

    def _course(self, samples: tuple[Inputs, ...], positions: tuple[int, ...]) -> Course:
        if self.sampling.recurrent:
            return self.sampling.course(self.everything, positions)
        return self.sampling.course(samples)


def calibration_samples(workload: Workload, most: int = 256) -> CalibrationSamples:
    """Split the calibration data: every fourth sample is held out, the others are fitted on.

    Methods fit all samples as one batch, so samples of other shapes than the most common one are not fitted on.

    Args:
        most: largest number of samples, taken in the data's order.

    Raises:
        WorkloadError: fewer than eight samples.
    """
    sampling = workload.sampling
    samples = single_samples(workload.batches(Split.CALIBRATION), most, sampling.axes)
    if len(samples) < FEWEST:
        raise WorkloadError(
            f"{workload.path}: calibration_data() gives {len(samples)} sample(s); calibration needs at least {FEWEST}, "
            "and 64 or more are recommended"
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
            f"{workload.path}: {repeated} of {len(samples)} samples of calibration_data() are evaluation samples, so "
            "the measured quality of calibrated configurations is too optimistic; use other samples for calibration"
        )
    if len(samples) < 4 * FEWEST:
        notes.append(
            f"{workload.path}: calibration_data() gives {len(samples)} samples, of which {len(fit)} are fitted on; "
            "corrections are reduced accordingly, and more samples would improve the results"
        )
    return notes
