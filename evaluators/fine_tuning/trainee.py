"""What a training can train: a model with named tensors, judged by sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn

from palettune.evaluators.fine_tuning.training_data import batch_parts, batch_samples
from palettune.evaluators.fine_tuning.training_loss import TrainingLoss
from palettune.evaluators.workload.halving import with_room
from palettune.evaluators.workload.outputs import first_non_finite_module
from palettune.evaluators.workload.placement import on
from palettune.evaluators.workload.workload import Batch

__all__ = ["ModelError", "Role", "Trainee"]


class Role(StrEnum):
    """What a trained tensor is, which decides its rate."""

    VECTOR = "vector"
    """Not of a compressed weight: a normalization, a bias."""
    TABLE = "table"
    """The entries, scales or steps that many weights share."""
    WEIGHT = "weight"
    """One value for each weight, from which its index, integer or value follows."""


class ModelError(RuntimeError):
    """The compressed model fails on training data."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"the compressed model fails on training data: {type(error).__name__}: {error}")


class Trainee(ABC):
    """A model in training.

    Attributes:
        module: what is run.
        device: where.
    """

    module: nn.Module
    device: torch.device

    @property
    def settled(self) -> bool:
        """Whether every weight has the form that its encoding asks for."""
        return True

    @abstractmethod
    def parameters(self) -> dict[str, tuple[Tensor, Role]]:
        """What is trained, by name, each with its role."""

    @abstractmethod
    def outputs(self, inputs: tuple[Tensor, ...]) -> Any:
        """The outputs, differentiable in the parameters."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """All that training changes, copied to the CPU, by name."""

    @abstractmethod
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what ``tensors`` gave."""

    def advance(self, progress: float) -> None:  # noqa: B027 (most models do not change with progress)
        """Follow schedules; ``progress`` goes from 0 to 1 over the steps."""

    def settle(self) -> None:  # noqa: B027 (where the module itself is trained there is nothing to do)
        """Put the present weights into ``module``."""

    def __call__(self, inputs: tuple[Tensor, ...]) -> Any:
        """The outputs, differentiable in the parameters.

        Raises:
            ModelError: the model fails.
        """
        try:
            return self.outputs(on(inputs, self.device))
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise ModelError(error) from error

    def by_sample(self, loss: TrainingLoss, batches: Iterable[Batch]) -> list[float]:
        """The loss of each sample, without gradients.

        Raises:
            ModelError: the model fails.
        """
        with torch.no_grad():
            self.settle()
            return [value for batch in batches for value in self._values(loss, batch)]

    def first_non_finite(self, batch: Batch) -> str | None:
        """The first submodule whose output is not finite on a batch."""
        with torch.no_grad():
            self.settle()
        return first_non_finite_module(self.module, batch.inputs)

    def _values(self, loss: TrainingLoss, batch: Batch) -> list[float]:
        """The loss of each sample of a batch, which is taken in parts where memory does not hold it."""

        def of_parts(size: int) -> list[float]:
            parts = batch_parts(batch, size, loss.axes)
            return [value for part in parts for value in loss.by_sample(self._run(part), part)]

        return with_room(of_parts, batch_samples(batch, loss.axes))

    def _run(self, batch: Batch) -> Any:
        try:
            return self.module(*on(batch.inputs, self.device))
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise ModelError(error) from error
