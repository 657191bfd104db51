"""Training data: an endless stream of batches, and a held-out part for validation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from torch import Tensor

from palettune.device_bench.model.outputs import map_tensors
from palettune.evaluators.weights.content_hash import raw_bytes, tensors_digest
from palettune.evaluators.workload.sample_axes import FIRST, SampleAxes
from palettune.evaluators.workload.workload import Batch, Split, Workload
from palettune.space.errors import UserError

__all__ = ["TrainingData", "TrainingDataError", "batch_digest", "batch_parts", "batch_samples"]

FEWEST = 8


class TrainingDataError(UserError):
    """Error for too little data to train and validate on."""


class TrainingData:
    """Training data of a workload; its calibration data if it has no training data.

    The first batches of a pass are held out; the others are the stream, read anew in each pass and not kept in memory. If
    several samples come from one source (crops of a photograph, sentences of a book), the first 128 samples should be of
    sources of their own, or validation is too optimistic. The workload has to give the same batches in every pass, or
    held-out samples may be trained on; ``notes`` says where this was seen.

    Args:
        workload: the user's model and data.
        held_out: number of samples held out, at most a quarter of the data.

    Raises:
        TrainingDataError: fewer than eight samples, or a single batch.
        WorkloadError: the workload's function fails or is not defined.
    """

    def __init__(self, workload: Workload, held_out: int) -> None:
        self.split = Split.TRAINING if workload.offers(Split.TRAINING.value) else Split.CALIBRATION
        self.notes: list[str] = []
        self._workload, self._axes = workload, workload.sampling.axes
        front, samples, batches = self._look(held_out)
        if batches < 2 or samples < FEWEST:
            raise TrainingDataError(
                f"{workload.path}: {self.split.value}() gives {samples} samples in {batches} batches; fine-tuning "
                f"needs at least {FEWEST} samples in 2 batches, some to train and some to validate on"
            )
        self.held_out = tuple(_until(iter(front[: batches - 1]), min(held_out, samples // 4), self._axes))
        self._digests = [batch_digest(batch) for batch in self.held_out]

    @property
    def digest(self) -> str:
        """Content hash of the held-out batches."""
        return hashlib.blake2b("".join(self._digests).encode(), digest_size=16).hexdigest()

    def stream(self, skip: int = 0) -> Iterator[Batch]:
        """Yield batches without end, in repeated passes, after skipping the first ``skip`` batches."""
        while True:
            for index, batch in enumerate(self._workload.stream(self.split)):
                if index < len(self._digests):
                    self._compare(index, batch)
                elif skip:
                    skip -= 1
                else:
                    yield batch

    def _look(self, held_out: int) -> tuple[list[Batch], int, int]:
        """The first batches, and how many samples and batches there are; no further than the held-out part needs."""
        seen = {digest for batch in self._workload.batches(Split.EVALUATION) for digest in self._seen(batch)}
        front: list[Batch] = []
        samples = batches = repeats = 0
        for batch in _until(self._workload.stream(self.split), 4 * held_out, self._axes):
            if samples < held_out:
                front.append(batch)
            samples, batches = samples + batch_samples(batch, self._axes), batches + 1
            repeats += sum(digest in seen for digest in self._seen(batch))
        if repeats:
            self._note(
                f"{self.split.value}() repeats {repeats} samples of evaluation_data() in its first {samples}, so "
                "the measured quality of fine-tuned configurations is too optimistic; use other samples for training"
            )
        return front, samples, batches

    def _seen(self, batch: Batch) -> Iterator[str]:
        return _sample_digests(batch, self._axes)

    def _compare(self, index: int, batch: Batch) -> None:
        if self._digests[index] != batch_digest(batch):
            self._note(
                f"{self.split.value}() gives other batches in each pass, so samples for validation may be "
                "trained on; return the same batches in every pass"
            )

    def _note(self, words: str) -> None:
        if words not in self.notes:
            self.notes.append(words)


def batch_samples(batch: Batch, axes: SampleAxes = FIRST) -> int:
    """Return the number of samples in a batch: the length of the sample axis of its first input that has one."""
    at = next((i for i in range(len(batch.inputs)) if axes.of_input(i) is not None), None)
    if at is None:
        return 1
    return axes.rows_of_input(batch.inputs[at], at)


def batch_parts(batch: Batch, size: int, axes: SampleAxes = FIRST) -> list[Batch]:
    """Split a batch into parts of at most ``size`` samples, targets with their inputs; a batch that fits stays whole."""
    count = axes.count(batch.inputs)
    if count is None or count <= size:
        return [batch]
    samples, along = axes.split(batch.inputs), axes.main

    def part(start: int, end: int) -> Batch:
        def rows(value: Tensor) -> Tensor:
            axis = along if value.ndim > along else 0
            return value.narrow(axis, start, end - start) if value.ndim and value.shape[axis] == count else value

        return Batch(axes.join(samples[start:end]), map_tensors(rows, batch.targets))

    return [part(start, min(start + size, count)) for start in range(0, count, size)]


def batch_digest(batch: Batch) -> str:
    """Return the content hash of a batch's inputs."""
    return tensors_digest(batch.inputs)


def _sample_digests(batch: Batch, axes: SampleAxes) -> Iterator[str]:
    for index in range(batch_samples(batch, axes)):
        digest = hashlib.blake2b(digest_size=16)
        for place, value in enumerate(batch.inputs):
            axis = axes.of_input(place)
            digest.update(raw_bytes(value if axis is None or value.ndim <= axis else value.select(axis, index)))
        yield digest.hexdigest()


def _until(batches: Iterator[Batch], samples: int, axes: SampleAxes) -> Iterator[Batch]:
    """Batches until there are so many samples, one at least."""
    found = 0
    for batch in batches:
        yield batch
        found += batch_samples(batch, axes)
        if found >= samples:
            return
