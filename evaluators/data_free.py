"""The data-free workflow: weights from coremltools' data-free algorithms, one pass over the evaluation data."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from evaluators.assembly import Assembler, LayerWeights
from evaluators.divergence import Reference
from evaluators.divergence_kind import DivergenceKind
from evaluators.evaluation import Evaluation, Failure, Rival, Screened, Stage, Workflow
from evaluators.outputs import first_non_finite_module
from evaluators.workload import Split, Workload
from space.configuration import Configuration

__all__ = ["DataFreeEvaluator", "beaten"]


class DataFreeEvaluator:
    """Evaluates configurations on a resident model: assemble, one pass over a split, divergence and metrics.

    Args:
        workload: the user's model and data, already checked.
        weights: the compressed weights of its layers.
        kind: the divergence taken.
        split: the data to evaluate on.
    """

    workflow = Workflow.DATA_FREE

    def __init__(
        self,
        workload: Workload,
        weights: LayerWeights,
        kind: DivergenceKind,
        split: Split = Split.EVALUATION,
    ) -> None:
        self.workload = workload
        self.split = split
        self.assembler = Assembler(workload.model, weights)
        float_outputs = self._run(workload.model)
        self.reference = Reference.of(kind, float_outputs)
        self.float_metrics = workload.metrics(float_outputs, split)

    def evaluate(
        self, configuration: Configuration, rivals: Sequence[Rival] = (), screen: int = 0
    ) -> Evaluation | Screened | Failure:
        """Measure one configuration. A failure names its stage, and the layer where one can be told.

        Args:
            rivals: earlier evaluations that cost no more, to compare with on the same samples.
            screen: samples after which the evaluation ends if a rival is surely better; 0 goes on in any case.
        """
        started = time.perf_counter()
        try:
            module = self.assembler.assemble(configuration)
        except Exception as error:
            return Failure(Stage.ASSEMBLE, f"{type(error).__name__}: {error}")
        assembled = time.perf_counter()
        outputs: list[Any] = []
        values: list[float] = []
        try:
            for index, batch in enumerate(self.workload.batches(self.split)):
                with torch.inference_mode():
                    outputs.append(module(*batch.inputs))
                    values += self.reference.by_sample(index, outputs[-1]).tolist()
                if screen and index + 1 < len(self.reference.batches) and len(values) >= screen:
                    screen = 0  # once: a second look would need a stricter test
                    screened = beaten(values, rivals)
                    if screened is not None:
                        return screened
        except Exception as error:
            return Failure(Stage.FORWARD, f"{type(error).__name__}: {error}")
        if not np.isfinite(values).all():
            layer = first_non_finite_module(module, self.workload.batches(self.split)[0].inputs)
            return Failure(Stage.FORWARD, "the compressed model's outputs are not finite", layer)
        forwarded = time.perf_counter()
        try:
            metrics = self.workload.metrics(outputs, self.split)
        except Exception as error:
            return Failure(Stage.METRICS, str(error))
        seconds = {
            Stage.ASSEMBLE.value: assembled - started,
            Stage.FORWARD.value: forwarded - assembled,
            Stage.METRICS.value: time.perf_counter() - forwarded,
        }
        mean = max(float(np.mean(values)), 0.0)
        return Evaluation(configuration.hash, self.workflow, mean, tuple(values), metrics, seconds)

    def _run(self, module: nn.Module) -> list[Any]:
        with torch.inference_mode():
            return [module(*batch.inputs) for batch in self.workload.batches(self.split)]


def beaten(values: Sequence[float], rivals: Sequence[Rival], certainty: float = 2.5) -> Screened | None:
    """The rival that is better on the same samples by the most standard errors, if by at least ``certainty``."""
    count = len(values)
    best: tuple[float, Screened] | None = None
    for rival in rivals:
        difference = np.asarray(values) - np.asarray(rival.by_sample[:count])
        if not np.isfinite(difference).all() or count < 8:
            return None
        excess, error = float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(count))
        if excess > certainty * error and (best is None or excess / (error + 1e-30) > best[0]):
            best = (excess / (error + 1e-30), Screened(rival.trial, count, excess, error))
    return best[1] if best else None
