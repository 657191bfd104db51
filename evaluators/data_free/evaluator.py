"""Evaluator of the data-free workflow: weights from coremltools' algorithms, and one pass over the evaluation data."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property

from palettune.evaluators.quality.divergence import Reference
from palettune.evaluators.quality.evaluation import Evaluation, Failure, Rival, Screened, Stage, Workflow
from palettune.evaluators.quality.quality import Quality
from palettune.evaluators.weights.assembly import Assembler
from palettune.evaluators.weights.model_state import ModelState, model_digest
from palettune.evaluators.workflow.evaluator import WorkflowEvaluator, WorkflowResult, WorkflowSetting, check_start
from palettune.evaluators.workload.workload import Split
from palettune.space.configuration import Configuration

__all__ = ["DataFreeEvaluator"]


class DataFreeEvaluator(WorkflowEvaluator):
    """Workflow that assembles the data-free weights of a configuration in one reused copy of the model and measures it.

    ``measure`` is the fast path of a search; ``evaluate`` also returns the state that other workflows start from.
    Activations in 8 bits are a failure, because their range is not known without data.

    Args:
        setting: the workload, its compressed weights and the divergence.
        split: the data to evaluate on.
    """

    name = "data_free"
    workflow = Workflow.DATA_FREE

    def __init__(self, setting: WorkflowSetting, split: Split = Split.EVALUATION) -> None:
        super().__init__(setting)
        self.workload = setting.workload
        self.split = split
        self.assembler = Assembler(setting.workload.model, setting.weights, setting.device)
        self.quality = Quality(setting.workload, setting.kind, split, device=setting.device)
        self.float_metrics = self.quality.float_metrics

    @property
    def reference(self) -> Reference:
        """The float model's outputs on the split."""
        return self.quality.reference

    def evaluate(self, configuration: Configuration, start: WorkflowResult | None = None) -> WorkflowResult | Failure:
        """Measure one configuration and return its state; ``start`` is checked, and not used otherwise."""
        check_start(configuration, start)
        measured = self.measure(configuration)
        if isinstance(measured, Failure):
            return measured
        if isinstance(measured, Screened):
            raise AssertionError("an evaluation without rivals was screened out")
        return WorkflowResult(measured, ModelState.data_free(configuration, self.setting.weights, self._model))

    def measure(
        self, configuration: Configuration, rivals: Sequence[Rival] = (), screen: int = 0
    ) -> Evaluation | Screened | Failure:
        """Measure one configuration; a failure names its stage, and the layer where it is known.

        Args:
            rivals: earlier evaluations of configurations that cost no more, for a comparison on the same samples.
            screen: number of samples after which the evaluation ends if a rival is clearly better; 0 never ends it.
        """
        started = time.perf_counter()
        if configuration.activations:
            layer = next(iter(configuration.activations))
            return Failure(
                Stage.ASSEMBLE,
                "activations in 8 bits need calibration or fine-tuning; the data-free workflow has no activation ranges",
                layer,
            )
        try:
            module = self.assembler.assemble(configuration)
        except Exception as error:
            return Failure(Stage.ASSEMBLE, f"{type(error).__name__}: {error}")
        seconds = {Stage.ASSEMBLE.value: time.perf_counter() - started}
        return self.quality.measure(module, configuration.hash, self.workflow, rivals, screen, seconds)

    @cached_property
    def _model(self) -> str:
        return model_digest(self.workload.model)
