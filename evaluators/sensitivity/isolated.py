"""Isolated scores: measured divergence of each (layer, encoding) alone; slow, the reference for other scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from palettune.evaluators.placement import placed
from palettune.evaluators.quality.divergence import Reference
from palettune.evaluators.sensitivity.base import ScoringPart, SensitivityScore, even
from palettune.evaluators.sensitivity.scores import Column, Scores
from palettune.evaluators.weights.assembly import Assembler
from palettune.evaluators.workload.course import Course

__all__ = ["IsolatedScore"]

_BATCH = 24


class IsolatedScore(SensitivityScore):
    """Sensitivity score measured by forward passes with one compressed layer in an otherwise float model."""

    name = "isolated"

    def score(
        self,
        columns: Sequence[Column],
        samples: Sequence[tuple[Tensor, ...]],
        first: int = 0,
        before: Sequence[tuple[Tensor, ...]] = (),
    ) -> Scores:
        """Score columns by one forward pass over the samples for each."""
        started = time.perf_counter()
        course = self.course(samples, before).together(_BATCH)
        assembler = Assembler(self.setting.model, self.setting.weights, self.setting.device)
        with torch.inference_mode():
            outputs = list(course.outputs(placed(self.setting.model, self.setting.device)))
            reference = Reference.of(self.setting.kind, outputs, course.axes).with_energy(self.setting.energy)
            table = np.stack([self._column(assembler, column, course, reference) for column in columns], axis=1)
        return Scores(self.name, tuple(columns), np.maximum(table, 0.0), None, time.perf_counter() - started)

    def _column(self, assembler: Assembler, column: Column, course: Course, reference: Reference) -> Any:
        layer, encoding = column
        module = assembler.replace({layer: self.setting.weights.get(layer, encoding).effective})
        parts = [reference.by_sample(i, outputs) for i, outputs in enumerate(course.outputs(module))]
        return torch.cat(parts).cpu().numpy()

    @classmethod
    def parts(cls, columns: int, samples: int, count: int) -> list[ScoringPart]:
        """Split by columns, because each part runs the float model on its samples."""
        return [ScoringPart(some, range(samples)) for some in even(columns, count)]
