"""Training loss: divergence from the float model, and the workload's ``loss`` where it has one.

The first is distillation (Hinton, Vinyals and Dean 2015, https://arxiv.org/abs/1503.02531) at temperature 1, with the
divergence that the search measures.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from palettune.device_bench.model.outputs import map_tensors
from palettune.evaluators.fine_tuning.training_data import batch_digest, batch_samples
from palettune.evaluators.placement import on, placed
from palettune.evaluators.quality.divergence import Reference
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.workload.halving import Room, in_halves
from palettune.evaluators.workload.outputs import floating_outputs
from palettune.evaluators.workload.workload import Batch, Workload

__all__ = ["TrainingLoss"]

_MOST_REMEMBERED = 128 * 1024**2  # bytes of the float model's outputs


class TrainingLoss:
    """Training loss, as a mean over a batch and for each sample.

    Args:
        workload: the float model, and ``loss`` where it has one.
        kind: the divergence.
        scale: batches that determine the scale of a squared error.
        distillation: share of the divergence, 0 to 1, if the workload has a ``loss``; 1 otherwise.
        device: of the outputs.
    """

    def __init__(
        self,
        workload: Workload,
        kind: DivergenceKind,
        scale: tuple[Batch, ...],
        distillation: float,
        device: torch.device,
    ) -> None:
        self.workload = workload
        self.kind = kind
        self.device = device
        self.share = distillation if workload.offers("loss") else 1.0
        self.axes = workload.sampling.axes
        self._teacher = placed(workload.model, device)
        self._remembered: dict[str, tuple[Tensor, ...]] = {}
        self._held = 0
        self._room = Room()
        self._energy: tuple[float, ...] = ()
        with torch.inference_mode():
            outputs = [self._taught(batch) for batch in scale]
            self._energy = Reference.of(kind, outputs, self.axes).energy

    def of_batch(self, outputs: Any, batch: Batch) -> Tensor:
        """Return the mean loss over a batch, differentiable."""
        value = torch.zeros((), dtype=torch.float64, device=self.device)
        if self.share > 0:
            value = value + self.share * self._divergence(outputs, batch).mean()
        if self.share < 1:
            value = value + (1 - self.share) * self.workload.loss(outputs, on(batch.targets, self.device))
        return value

    def by_sample(self, outputs: Any, batch: Batch) -> list[float]:
        """Return the loss of each sample; the workload's ``loss`` is called with one sample at a time."""
        values = self._divergence(outputs, batch) * self.share
        if self.share < 1:
            values = values + (1 - self.share) * self._losses(outputs, batch).to(values.device)
        return [float(value) for value in values]

    def _divergence(self, outputs: Any, batch: Batch) -> Tensor:
        reference = Reference(self.kind, (self._float_outputs(batch),), self._energy, 1.0, self.axes)
        return reference.by_sample(0, outputs)

    def _float_outputs(self, batch: Batch) -> tuple[Tensor, ...]:
        key = batch_digest(batch)
        if key not in self._remembered:
            with torch.no_grad():
                outputs = self._taught(batch)
            found = tuple(value.detach().float() for _, value in floating_outputs(outputs))
            self._held += sum(value.nbytes for value in found)
            if self._held > _MOST_REMEMBERED:
                return found
            self._remembered[key] = found
        return self._remembered[key]

    def _taught(self, batch: Batch) -> Any:
        """Return the float model's outputs for a batch, run in halves where it does not fit in memory."""
        return in_halves(lambda inputs: self._teacher(*on(inputs, self.device)), batch.inputs, self.axes, self._room)

    def _losses(self, outputs: Any, batch: Batch) -> Tensor:
        count = batch_samples(batch, self.axes)
        targets = on(batch.targets, self.device)
        parts = [(outputs, targets)] if self.axes.whole else [self._sample(outputs, targets, i) for i in range(count)]
        return torch.stack([self.workload.loss(*part).detach().double() for part in parts])

    def _sample(self, outputs: Any, targets: Any, index: int) -> tuple[Any, Any]:
        """One sample's outputs and targets, as a batch."""
        main = self.axes.main

        def part(value: Tensor) -> Tensor:
            return value.narrow(main if value.ndim > main else 0, index, 1) if value.ndim else value

        return map_tensors(part, outputs), map_tensors(part, targets)
