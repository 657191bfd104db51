"""Divergence on the held-out calibration samples, per sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from palettune.evaluators.quality.divergence import Reference
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.workload.course import Course
from palettune.evaluators.workload.outputs import first_non_finite_module
from palettune.evaluators.workload.samples import Inputs

__all__ = ["HeldOutDivergence", "NonFiniteError"]


class NonFiniteError(ValueError):
    """Error for a module whose outputs are not finite on calibration data.

    Attributes:
        layer: the first module with such an output, where it is known.
    """

    def __init__(self, layer: str | None) -> None:
        super().__init__("the compressed model's outputs are not finite on the calibration data")
        self.layer = layer


class HeldOutDivergence:
    """Divergence of modules from a float model, whose outputs are computed once.

    Args:
        model: the float model.
        samples: inputs of one sample each that no method is fitted on, or a course over them.
        kind: the divergence.
    """

    def __init__(self, model: nn.Module, samples: Sequence[Inputs] | Course, kind: DivergenceKind) -> None:
        self._course = Course.of(samples).together(16)
        with torch.inference_mode():
            self._reference = Reference.of(kind, list(self._course.outputs(model)), self._course.axes)

    def by_sample(self, module: nn.Module) -> tuple[float, ...]:
        """Return the divergence of a module on each sample.

        Raises:
            NonFiniteError: an output is not finite.
        """
        values: list[float] = []
        with torch.inference_mode():
            for index, outputs in enumerate(self._course.outputs(module)):
                values += self._reference.by_sample(index, outputs).tolist()
        if not np.isfinite(values).all():
            with self._course.state.around(module):
                raise NonFiniteError(first_non_finite_module(module, self._course.inputs[0]))
        return tuple(values)
