"""Contract of a trainable model: named parameters, and a loss for each sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn

from palettune.evaluators.fine_tuning.training_data import batch_parts, batch_samples
from palettune.evaluators.fine_tuning.training_loss import TrainingLoss
from palettune.evaluators.placement import on
from palettune.evaluators.workload.halving import with_room
from palettune.evaluators.workload.outputs import first_non_finite_module
from palettune.evaluators.workload.workload import Batch

__all__ = ["ModelError", "Role", "Trainee"]


class Role(StrEnum):
    """Role of a trained tensor, which selects its learning rate."""

    VECTOR = "vector"
    """A normalization or bias: no part of a compressed weight."""
    TABLE = "table"
    """Entries or scales that many weights share."""
    WEIGHT = "weight"
    """Latent weights, one for each element, which decide its index, integer or value."""


class ModelError(RuntimeError):
    """Error where the compressed model fails on training data."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"the compressed model fails on training data: {type(error).__name__}: {error}")


class Trainee(ABC):
    """Model that ``Training`` can train.

    Attributes:
        module: the module that is run.
        device: of its tensors.
    """

    module: nn.Module
    device: torch.device

    @property
    def settled(self) -> bool:
        """Whether every weight has the form of its encoding."""
        return True

    @abstractmethod
    def parameters(self) -> dict[str, tuple[Tensor, Role]]:
        """Return the trained parameters by name, each with its role."""

    @abstractmethod
    def outputs(self, inputs: tuple[Tensor, ...]) -> Any:
        """Run the model; its outputs are differentiable in the parameters."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Return copies on the CPU of all tensors that training changes, by name."""

    @abstractmethod
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore tensors returned by ``tensors``."""

    def advance(self, progress: float) -> None:  # noqa: B027 (most models do not change with progress)
        """Update scheduled quantities; ``progress`` is the share of steps, 0 to 1."""

    def settle(self) -> None:  # noqa: B027 (where the module itself is trained there is nothing to do)
        """Copy the present weights into ``module``."""

    def __call__(self, inputs: tuple[Tensor, ...]) -> Any:
        """Run the model; its outputs are differentiable in the parameters.

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
        """Return the loss of each sample, without gradients.

        Raises:
            ModelError: the model fails.
        """
        with torch.no_grad():
            self.settle()
            return [value for batch in batches for value in self._values(loss, batch)]

    def first_non_finite(self, batch: Batch) -> str | None:
        """Return the name of the first submodule whose output is not finite on a batch; ``None`` if all are finite."""
        with torch.no_grad():
            self.settle()
        return first_non_finite_module(self.module, batch.inputs)

    def _values(self, loss: TrainingLoss, batch: Batch) -> list[float]:
        """Return the loss of each sample of a batch, computed in parts where the batch does not fit in memory."""

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
