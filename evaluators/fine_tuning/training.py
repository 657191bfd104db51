"""Training loop: steps, validations, early stopping and checkpoints."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from palettune.evaluators.fine_tuning.checkpoint import Checkpoint, CheckpointFolder
from palettune.evaluators.fine_tuning.optimizer import Optimizer
from palettune.evaluators.fine_tuning.setting import FineTuningSetting
from palettune.evaluators.fine_tuning.trainee import Trainee
from palettune.evaluators.fine_tuning.training_data import TrainingData, batch_parts, batch_samples
from palettune.evaluators.fine_tuning.training_loss import TrainingLoss
from palettune.evaluators.sensitivity.gradients import NO_GRADIENT
from palettune.evaluators.workload.halving import Room, with_room
from palettune.evaluators.workload.workload import Batch

__all__ = ["NoGradientError", "Training", "TrainingError"]

_DIVERGED = 4.0
log = logging.getLogger(__name__)


class TrainingError(RuntimeError):
    """Error of a training without a result.

    Attributes:
        layer: the first layer with values that are not finite, where it is known.
        reason: description of the failure, with its step.
    """

    def __init__(self, reason: str, layer: str | None) -> None:
        super().__init__(reason)
        self.reason, self.layer = reason, layer


class NoGradientError(TrainingError):
    """Error of a training in which no trained parameter has a gradient."""


@dataclass
class _Progress:
    step: int = 0
    best: float = math.inf
    first: float = math.inf
    worse: int = 0
    ended: bool = False
    history: list[tuple[int, float]] = field(default_factory=list)


class Training:
    """Training of a model for a number of steps, or until the held-out loss stops improving.

    Args:
        model: the model; it holds the best state when ``run`` returns.
        loss: the training loss.
        data: batches, and the held-out part.
        setting: rates and other settings.
        steps: largest number of steps.
        checkpoints: folder from which an interrupted training continues.
    """

    def __init__(
        self,
        model: Trainee,
        loss: TrainingLoss,
        data: TrainingData,
        setting: FineTuningSetting,
        steps: int,
        checkpoints: CheckpointFolder,
    ) -> None:
        self.model, self.loss, self.data, self.setting = model, loss, data, setting
        self.steps = steps
        self.checkpoints = checkpoints
        self.notes: list[str] = []
        self._optimizer = Optimizer(model.parameters(), setting, steps)
        self._progress = _Progress()
        self._best: Mapping[str, Tensor] = {}
        self._room = Room()

    def run(self) -> None:
        """Train the model and leave its best state in it; ``notes`` say why a training ended early.

        Raises:
            TrainingError: the loss or a gradient is not finite at the first step.
            NoGradientError: no trained parameter has a gradient, or torch cannot compute it.
            WorkloadError: the workload's data or loss fails.
        """
        if not self._resume():
            self.model.advance(0.0)
            self._validate()
            self._progress.first = self._progress.best
        batches = self.data.stream(self._progress.step * self.setting.accumulation)
        every = max(1, self.steps // self.setting.validations)
        write = max(1, self.steps // self.setting.checkpoints)
        while not self._progress.ended:
            going_on = self._step(batches)
            step = self._progress.step
            if going_on and (step % every == 0 or step == self.steps):
                going_on = self._validate()
            self._progress.ended = not going_on or step == self.steps
            if self._progress.ended or step % write == 0:
                self.checkpoints.save(self._checkpoint())
        if self._best:
            self.model.restore(self._best)

    def _step(self, batches: Iterator[Batch]) -> bool:
        """One step of the optimizer; False where values stop being finite."""
        step = self._progress.step
        self.model.advance((step + 1) / self.steps)
        taken = [next(batches) for _ in range(self.setting.accumulation)]
        most = max(batch_samples(batch, self.loss.axes) for batch in taken)
        bad = with_room(lambda size: self._gradients(taken, size), most, self._room)
        if bad is not None:
            return self._not_finite("the loss", self.model.first_non_finite(bad))
        wrong = self._optimizer.non_finite()
        if wrong is not None:
            return self._not_finite("a gradient", wrong.partition("/")[0])
        self._optimizer.step(step)
        self._progress.step += 1
        return True

    def _gradients(self, batches: Sequence[Batch], size: int) -> Batch | None:
        """Compute the gradients of a step, at most ``size`` samples at once; return the batch whose loss is not finite."""
        self._optimizer.clear()
        for batch in batches:
            parts = batch_parts(batch, size, self.loss.axes)
            for part in parts:
                share = (
                    batch_samples(part, self.loss.axes) / batch_samples(batch, self.loss.axes) if len(parts) > 1 else 1
                )
                with torch.enable_grad(), self._precision():
                    value = share * self.loss.of_batch(self.model(part.inputs), part) / self.setting.accumulation
                if not bool(torch.isfinite(value)):
                    return part
                self._backward(value)
        return None

    def _backward(self, value: Tensor) -> None:
        if not value.requires_grad:
            raise NoGradientError(f"no gradient reaches a trained parameter: {NO_GRADIENT}", None)
        try:
            torch.autograd.backward(value)
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            words = str(error).strip().splitlines()[0]
            raise NoGradientError(f"torch cannot compute the model's gradients: {words}", None) from error

    def _not_finite(self, what: str, layer: str | None) -> bool:
        step = self._progress.step
        where = f" (first in layer {layer!r})" if layer else ""
        if step == 0:
            raise TrainingError(f"{what} of training is not finite at step 0; check training_data() and loss()", layer)
        self.notes.append(f"{what} of training is not finite at step {step}{where}; the best state before it is kept")
        return False

    def _validate(self) -> bool:
        """Validate on the held-out samples; return False where training should end."""
        progress = self._progress
        values = self.model.by_sample(self.loss, self.data.held_out)
        mean = sum(values) / len(values)
        progress.history.append((progress.step, mean))
        log.debug("step %d of %d: %.5g on held-out samples", progress.step, self.steps, mean)
        if not self.model.settled:
            return True
        if mean < progress.best:
            progress.best, progress.worse = mean, 0
            self._best = self.model.tensors()
            return True
        progress.worse += 2 * progress.step > self.steps
        if not mean <= _DIVERGED * abs(progress.first):
            self.notes.append(f"training diverges at step {progress.step}: {mean:.3g}; the best state is kept")
            return False
        return progress.worse < self.setting.patience

    def _precision(self) -> Any:
        gpu = self.model.device.type == "cuda"
        return torch.autocast(self.model.device.type, dtype=torch.bfloat16, enabled=gpu)

    def _checkpoint(self) -> Checkpoint:
        progress = self._progress
        values: dict[str, Any] = {
            "step": progress.step,
            "best": _plain(progress.best),
            "first": _plain(progress.first),
            "worse": progress.worse,
            "ended": progress.ended,
            "notes": self.notes,
            "history": progress.history,
        }
        tensors = {f"model:{name}": value for name, value in self.model.tensors().items()}
        tensors |= {f"best:{name}": value for name, value in self._best.items()}
        tensors |= {f"adam:{name}": value for name, value in self._optimizer.tensors().items()}
        return Checkpoint(values, tensors | {"random": torch.get_rng_state()})

    def _resume(self) -> bool:
        found = self.checkpoints.load()
        if found is None:
            return False
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "adam": {}}
        for name, value in found.tensors.items():
            part, _, rest = name.partition(":")
            if part in parts:
                parts[part][rest] = value
        self.model.restore(parts["model"])
        self._best = parts["best"]
        self._optimizer.restore(parts["adam"])
        torch.set_rng_state(found.tensors["random"])
        values = found.values
        history = [(int(step), float(value)) for step, value in values["history"]]
        best, first = (math.inf if values[key] is None else float(values[key]) for key in ("best", "first"))
        self._progress = _Progress(int(values["step"]), best, first, int(values["worse"]), values["ended"], history)
        self.notes = list(values["notes"])
        log.info("training continues from step %d of %d", self._progress.step, self.steps)
        return True


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
