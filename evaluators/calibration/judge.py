"""The judge: divergence of a module on the held-out calibration samples, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from evaluators.divergence import Reference
from evaluators.divergence_kind import DivergenceKind
from evaluators.outputs import first_non_finite_module
from evaluators.samples import Inputs, joined

__all__ = ["Judge", "NonFiniteError"]


class NonFiniteError(ValueError):
    """A module whose outputs are not finite on calibration data.

    Attributes:
        layer: the first module to give one, where it can be told.
    """

    def __init__(self, layer: str | None) -> None:
        super().__init__("the compressed model's outputs are not finite on the calibration data")
        self.layer = layer


class Judge:
    """Runs the float model once; compares modules with it.

    Args:
        model: the float model.
        samples: inputs of one sample each, that nothing was fitted on.
        kind: the divergence taken.
    """

    def __init__(self, model: nn.Module, samples: Sequence[Inputs], kind: DivergenceKind) -> None:
        self._batches = joined(samples)
        with torch.inference_mode():
            self._reference = Reference.of(kind, [model(*batch) for batch in self._batches])

    def by_sample(self, module: nn.Module) -> tuple[float, ...]:
        """Divergence of each sample.

        Raises:
            NonFiniteError: where one is not finite.
        """
        values: list[float] = []
        with torch.inference_mode():
            for index, batch in enumerate(self._batches):
                values += self._reference.by_sample(index, module(*batch)).tolist()
        if not np.isfinite(values).all():
            raise NonFiniteError(first_non_finite_module(module, self._batches[0]))
        return tuple(values)
