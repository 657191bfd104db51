"""The data-free workflow: weights from coremltools' data-free algorithms, one pass over the evaluation data."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn

from evaluators.assembly import Assembler, LayerWeights
from evaluators.divergence import Reference
from evaluators.divergence_kind import DivergenceKind
from evaluators.evaluation import Evaluation, Failure, Stage, Workflow
from evaluators.outputs import first_non_finite_module
from evaluators.workload import Split, Workload
from space.configuration import Configuration

__all__ = ["DataFreeEvaluator"]


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

    def evaluate(self, configuration: Configuration) -> Evaluation | Failure:
        """Measure one configuration. A failure names its stage, and the layer where one can be told."""
        started = time.perf_counter()
        try:
            module = self.assembler.assemble(configuration)
        except Exception as error:
            return Failure(Stage.ASSEMBLE, f"{type(error).__name__}: {error}")
        assembled = time.perf_counter()
        try:
            outputs = self._run(module)
            by_sample = torch.cat([self.reference.by_sample(i, output) for i, output in enumerate(outputs)])
        except Exception as error:
            return Failure(Stage.FORWARD, f"{type(error).__name__}: {error}")
        if not bool(torch.isfinite(by_sample).all()):
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
        values = tuple(float(value) for value in by_sample)
        return Evaluation(
            configuration.hash, self.workflow, max(float(by_sample.mean()), 0.0), values, metrics, seconds
        )

    def _run(self, module: nn.Module) -> list[Any]:
        with torch.inference_mode():
            return [module(*batch.inputs) for batch in self.workload.batches(self.split)]
