"""Isolated scores: each (layer, encoding) tried alone by a forward pass. The slow oracle of the other methods."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluators.assembly import Assembler
from evaluators.divergence import Reference
from evaluators.samples import joined
from evaluators.sensitivity.base import Part, SensitivityScore, even
from evaluators.sensitivity.scores import Column, Scores

__all__ = ["IsolatedScore"]

_BATCH = 24


class IsolatedScore(SensitivityScore):
    """The measured divergence of one compressed layer in an otherwise float model."""

    name = "isolated"

    def score(self, columns: Sequence[Column], samples: Sequence[tuple[Tensor, ...]], first: int = 0) -> Scores:
        """One forward pass over the samples for each column."""
        started = time.perf_counter()
        batches = joined(samples, _BATCH)
        assembler = Assembler(self.setting.model, self.setting.weights)
        with torch.inference_mode():
            outputs = [self.setting.model(*batch) for batch in batches]
            reference = Reference.of(self.setting.kind, outputs).with_energy(self.setting.energy)
            table = np.stack([self._column(assembler, column, batches, reference) for column in columns], axis=1)
        return Scores(self.name, tuple(columns), np.maximum(table, 0.0), None, time.perf_counter() - started)

    def _column(
        self, assembler: Assembler, column: Column, batches: Sequence[tuple[Tensor, ...]], reference: Reference
    ) -> Any:
        layer, encoding = column
        module = assembler.replace({layer: self.setting.weights.get(layer, encoding).weight})
        parts = [reference.by_sample(i, module(*batch)) for i, batch in enumerate(batches)]
        return torch.cat(parts).numpy()

    @classmethod
    def parts(cls, columns: int, samples: int, count: int) -> list[Part]:
        """By column: every part runs the float model once more, so samples are kept together."""
        return [Part(some, range(samples)) for some in even(columns, count)]
